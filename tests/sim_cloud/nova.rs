//! What is claimed of Nova: servers, their images, volumes and devices.

use drbackup::sim::{Action, InstanceSpec, Rule, Service};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Outcome, Person, cloud, id};

#[tokio::test]
async fn a_server_that_fails_tells_why_and_keeps_its_volumes_until_it_is_deleted() -> Outcome {
    let one = cloud().await?;
    let demo = Person {
        version: "compute 2.79",
        ..Person::login(&one, "demo", "demo").await?
    };
    let web = one.create_instance(&InstanceSpec::new("web", &[1]))?;
    let volume = demo.make("volume", json!({"size": 1})).await?;
    let (_, flavors) = demo.get("/compute/v2.1/flavors").await?;
    let body = json!({"server": {"name": "s", "flavorRef": flavors["flavors"][1]["id"],
        "networks": [{"uuid": web.network}], "block_device_mapping_v2": [{"uuid": volume,
        "source_type": "volume", "destination_type": "volume", "boot_index": 0}]}});
    let servers = "/compute/v2.1/servers";
    let (status, error) = demo.ask(Method::POST, servers, body.clone()).await?;
    assert_eq!(
        (status, &error["badRequest"]["message"]),
        (
            400,
            &json!(format!("Block Device {volume} is not bootable."))
        )
    );
    let bootable = json!({"os-set_bootable": {"bootable": true}});
    demo.volume(Method::POST, &format!("/volumes/{volume}/action"), bootable)
        .await?;
    let reason = "No valid host was found. ".to_owned();
    one.fault(
        Rule::on(
            Service::Compute,
            "POST",
            "/servers$",
            Action::Fail { reason },
        )
        .once(),
    )?;
    let (status, made) = demo.ask(Method::POST, servers, body).await?;
    assert_eq!(status, 202, "{made}");
    let path = format!("{servers}/{}", id(&made["server"]));
    let (_, shown) = demo.get(&path).await?;
    assert_eq!(
        (
            &shown["server"]["status"],
            &shown["server"]["fault"]["code"]
        ),
        (&json!("ERROR"), &json!(500))
    );
    assert_eq!(demo.status("volume", &volume).await?, "reserved");
    assert_eq!(demo.ask(Method::DELETE, &path, Value::Null).await?.0, 204);
    assert_eq!(demo.get(&path).await?.0, 404);
    assert_eq!(demo.status("volume", &volume).await?, "available");
    Ok(())
}

#[tokio::test]
async fn an_image_of_a_server_on_volumes_is_snapshots_and_an_image_without_bytes() -> Outcome {
    let one = cloud().await?;
    let demo = Person {
        version: "compute 2.79",
        ..Person::login(&one, "demo", "demo").await?
    };
    let web = one.create_instance(&InstanceSpec::new("web", &[1, 2]))?;
    let path = format!("/compute/v2.1/servers/{}/action", web.server);
    let body = json!({"createImage": {"name": "point", "metadata": {}}});
    let (status, made) = demo.ask(Method::POST, &path, body).await?;
    assert_eq!(status, 202, "{made}");
    let image = made["image_id"].as_str().ok_or("an image")?;
    let (_, image) = demo.get(&format!("/image/v2/images/{image}")).await?;
    let mapping = image["block_device_mapping"].as_str().unwrap_or_default();
    let mapping: Vec<Value> = serde_json::from_str(mapping)?;
    assert_eq!(
        (&image["status"], &image["size"]),
        (&json!("active"), &json!(0))
    );
    for one in &mapping {
        let snapshot = one["snapshot_id"].as_str().unwrap_or_default();
        assert_eq!(demo.status("snapshot", snapshot).await?, "available");
    }
    assert_eq!(
        mapping.iter().filter(|one| one["boot_index"] == 0).count(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_boots_from_an_image_has_one() -> Outcome {
    let one = cloud().await?;
    let demo = Person {
        version: "compute 2.93",
        ..Person::login(&one, "demo", "demo").await?
    };
    let body = json!({"name": "cirros", "disk_format": "raw", "container_format": "bare"});
    let (_, image) = demo.ask(Method::POST, "/image/v2/images", body).await?;
    let (_, flavors) = demo.get("/compute/v2.1/flavors").await?;
    let body = json!({"server": {"name": "s", "flavorRef": flavors["flavors"][1]["id"],
        "imageRef": image["id"], "networks": "none"}});
    let (status, made) = demo
        .ask(Method::POST, "/compute/v2.1/servers", body)
        .await?;
    assert_eq!(status, 202, "{made}");
    let path = format!("/compute/v2.1/servers/{}", id(&made["server"]));
    let (_, shown) = demo.get(&path).await?;
    assert_eq!(shown["server"]["image"]["id"], image["id"]);
    assert_eq!(shown["server"]["status"], "ACTIVE");
    Ok(())
}

#[tokio::test]
async fn volumes_of_a_server_are_listed_by_their_ids_and_not_by_their_devices() -> Outcome {
    let one = cloud().await?;
    let demo = Person {
        version: "compute 2.89",
        ..Person::login(&one, "demo", "demo").await?
    };
    let web = one.create_instance(&InstanceSpec::new("web", &[1, 1, 1, 1, 1, 1]))?;
    let path = format!("/compute/v2.1/servers/{}/os-volume_attachments", web.server);
    let (_, list) = demo.get(&path).await?;
    let list = list["volumeAttachments"]
        .as_array()
        .ok_or("a list")?
        .clone();
    let mut ids: Vec<&str> = list
        .iter()
        .filter_map(|one| one["volumeId"].as_str())
        .collect();
    assert!(ids.is_sorted());
    let root = list
        .iter()
        .find(|one| one["device"] == "/dev/vda")
        .ok_or("a root")?;
    assert_eq!(root["volumeId"], json!(web.volumes[0]));
    let mut wanted: Vec<&str> = web.volumes.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    ids.sort_unstable();
    assert_eq!(ids, wanted);
    Ok(())
}

#[tokio::test]
async fn a_device_that_is_wished_for_is_given_and_the_others_get_what_is_free() -> Outcome {
    let one = cloud().await?;
    let demo = Person {
        version: "compute 2.89",
        ..Person::login(&one, "demo", "demo").await?
    };
    let web = one.create_instance(&InstanceSpec::new("web", &[1]))?;
    let mut disks = Vec::new();
    for wish in [None, Some("/dev/vdb"), Some("vde"), None] {
        let volume = demo.make("volume", json!({"size": 1})).await?;
        demo.status("volume", &volume).await?;
        disks.push((volume, wish));
    }
    let path = format!("/volumes/{}/action", disks[0].0);
    demo.volume(
        Method::POST,
        &path,
        json!({"os-set_bootable": {"bootable": true}}),
    )
    .await?;
    let mapping: Vec<Value> = disks
        .iter()
        .enumerate()
        .map(|(index, (volume, wish))| {
            let mut one = json!({"uuid": volume, "source_type": "volume",
                "destination_type": "volume", "boot_index": if index == 0 { 0 } else { -1 }});
            if let Some(wish) = wish {
                one["device_name"] = json!(wish);
            }
            one
        })
        .collect();
    let (_, flavors) = demo.get("/compute/v2.1/flavors").await?;
    let body = json!({"server": {"name": "wishes", "flavorRef": flavors["flavors"][0]["id"],
        "networks": [{"uuid": web.network}], "block_device_mapping_v2": mapping}});
    let (status, made) = demo
        .ask(Method::POST, "/compute/v2.1/servers", body)
        .await?;
    assert_eq!(status, 202, "{made}");
    let path = format!(
        "/compute/v2.1/servers/{}/os-volume_attachments",
        id(&made["server"])
    );
    let (_, list) = demo.get(&path).await?;
    let device = |volume: &str| {
        let all = list["volumeAttachments"].as_array()?;
        let found = all.iter().find(|one| one["volumeId"] == volume)?;
        found["device"].as_str().map(str::to_owned)
    };
    let devices: Vec<Option<String>> = disks.iter().map(|(volume, _)| device(volume)).collect();
    let wanted = ["/dev/vda", "/dev/vdb", "/dev/vde", "/dev/vdc"].map(|name| Some(name.to_owned()));
    assert_eq!(devices, wanted);
    Ok(())
}
