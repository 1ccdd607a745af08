//! Every key that there is, as it is stored: a row may come, and none may change.

use super::*;

/// Keys of every form, with their texts.
fn forms() -> Vec<(EffectKey, &'static str)> {
    let mut forms = vec![
        (volume(3).made().into(), "volume-3"),
        (volume(3).made().try_no(2), "volume-3-2"),
        (volume(0).snapshot(), "volume-0-snapshot"),
        (volume(0).image(), "volume-0-image"),
        (volume(0).image().swept(), "volume-0-image-swept"),
        (volume(0).copy(), "volume-0-copy"),
        (volume(0).copy().reset(), "volume-0-copy-reset"),
        (volume(12).backup().into(), "volume-12-backup"),
        (volume(12).backup().try_no(3), "volume-12-backup-3"),
        (
            volume(12).backup().try_no(3).snapshot_freed(),
            "freed-after-volume-12-backup-3",
        ),
        (volume(3).increment().try_no(1), "volume-3-increment"),
        (volume(3).increment().try_no(2), "volume-3-increment-2"),
        (volume(1).record(0), "volume-1-record"),
        (volume(1).record(0).freed(), "volume-1-record-freed"),
        (volume(1).record(7), "volume-1-record-7"),
        (volume(1).restore().into(), "volume-1-restore"),
        (volume(1).restore().try_no(2), "volume-1-restore-2"),
        (
            volume(1).restore().try_no(2).freed(),
            "volume-1-restore-2-freed",
        ),
        (volume(1).taken(), "volume-1-taken"),
        (volume(1).bootable(), "volume-1-bootable"),
        (volume(1).properties(), "volume-1-properties"),
        (group(2).made(), "group-2"),
        (group(2).rules(), "group-2-rules"),
        (group(2).name(), "group-2-name"),
        (port(4).made(), "port-4"),
        (port(4).kept().into(), "port-4-kept"),
        (port(4).kept().try_no(3), "port-4-kept-3"),
        (port(4).trunk(), "port-4-trunk"),
        (port(4).trunk_name(), "port-4-trunk-name"),
        (port(4).name(), "port-4-name"),
        (server().into(), "server"),
        (server().try_no(2), "server-2"),
        (server_setting(&ServerSetting::Stopped), "set-status"),
        (server_setting(&ServerSetting::Locked(None)), "set-locked"),
        (List::Donor.at(0), "giver-0"),
        (List::FailedImport.at(1), "hollow-1"),
        (List::FailedImport.at(1).reset(), "hollow-1-reset"),
        (List::MissingCloud.at(0), "look-0"),
        (List::Thing.at(10), "thing-10"),
        (List::Backup.at(0), "backup-0"),
        (List::Mirror.at(0), "mirror-0"),
        (List::Snapshot.at(0), "snapshot-0"),
        (
            EffectKey::from(Single::GroupSnapshot).reset(),
            "group-snapshot-reset",
        ),
        (
            EffectKey::from(Single::QuiescedImage).swept(),
            "quiesced-image-swept",
        ),
    ];
    forms.extend(Single::ALL.map(|single| (EffectKey::from(single), single.text())));
    forms
}

#[test]
fn every_key_is_written_as_it_was_and_reads_back_to_itself_alone() {
    let mut written: Vec<EffectKey> = List::ALL.map(|list| list.at(5)).into();
    for (key, text) in forms() {
        assert_eq!(key.as_str(), text);
        written.push(key);
    }
    for setting in settings() {
        written.push(port(1).setting(&setting));
    }
    for key in written {
        assert_eq!(
            key.parts().map(|parts| parts.to_string()),
            Some(key.to_string())
        );
        let readings = Subject::all().filter(|subject| {
            let own = key.parts().and_then(|parts| parts.after);
            let (before, behind) = own.map_or(("", ""), After::around);
            let text = key.as_str().strip_prefix(before);
            let text = text.and_then(|text| text.strip_suffix(behind));
            text.is_some_and(|text| Parts::read(*subject, text, own).is_some())
        });
        assert_eq!(readings.count(), 1, "{key}");
    }
}

fn settings() -> [PortSetting; 9] {
    [
        PortSetting::Description(String::new()),
        PortSetting::AddressPairs(Vec::new()),
        PortSetting::DhcpOptions(Vec::new()),
        PortSetting::DnsName(String::new()),
        PortSetting::DnsDomain(String::new()),
        PortSetting::QosPolicy(String::new()),
        PortSetting::Tags(Vec::new()),
        PortSetting::NoAddress,
        PortSetting::Up(true),
    ]
}

#[test]
fn what_was_left_behind_is_named_by_its_kind() {
    for list in List::ALL {
        if let List::Left(kind) = list {
            let noun = kind.noun().replace(' ', "-");
            assert_eq!(list.at(2).as_str(), format!("left-{noun}-2"));
        }
    }
}

#[test]
fn a_key_tells_what_it_is_about() {
    let tries = |text: &str| EffectKey::new(text).try_no();
    assert_eq!((tries("volume-2"), tries("volume-2-2")), (1, 2));
    assert_eq!((tries("server"), tries("server-11")), (1, 11));
    assert_eq!(
        (tries("volume-7-increment"), tries("volume-7-increment-3")),
        (1, 3)
    );
    assert_eq!(tries("volume-7-record-3"), 1, "a depth is no try");
    assert_eq!(tries("thing-3"), 1, "a place is no try");

    let place = |text: &str| EffectKey::new(text).place();
    assert_eq!(place("port-2-trunk-name"), Some(2));
    assert_eq!(place("group-1-name"), Some(1));
    assert_eq!((place("server-2"), place("set-locked")), (None, None));

    let of = |text: &str| EffectKey::new(text).volume();
    assert_eq!(
        (of("volume-1"), of("volume-1-restore-2-freed")),
        (Some(1), Some(1))
    );
    assert_eq!(of("volume-11-copy-reset"), Some(11));
    assert_eq!(
        (of("port-1"), of("freed-after-volume-1-backup")),
        (None, None)
    );

    let is_kept = |text: &str| EffectKey::new(text).is_kept_port();
    assert!(is_kept("port-0-kept") && is_kept("port-0-kept-2"));
    assert!(!is_kept("port-0") && !is_kept("port-0-name"));

    let swept = EffectKey::new("volume-0-image-swept");
    assert_eq!(swept.swept_image(), Some("volume-0-image"));
    assert_eq!(EffectKey::new("volume-0-image").swept_image(), None);
}

#[test]
fn what_nobody_writes_says_nothing() {
    let strange = [
        "",
        "volume",
        "volume-",
        "volume-x",
        "volume-01",
        "volume-1-1",
        "volume-1-copy-2",
        "volume-1-record-0",
        "volume-1-backup-02",
        "port-1-colour",
        "server-1",
        "set-colour",
        "thing-1-2",
        "instance-1",
        "cloud-1",
    ];
    for text in strange {
        let key = EffectKey::new(text);
        assert_eq!(key.parts(), None, "{text}");
        assert_eq!(
            (key.place(), key.volume(), key.try_no()),
            (None, None, 1),
            "{text}"
        );
    }
}
