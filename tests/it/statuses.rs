//! Statuses of things in a cloud that do not pass by themselves: told at once, with what to do, and nothing
//! is made that has to be taken back.

use drbackup::{
    api::pb,
    sim::{InstanceSpec, Times},
};

use crate::house::{House, census};

fn state(number: i32) -> pb::State {
    pb::State::try_from(number).expect("a known state")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_kept_for_a_shelved_instance_is_no_reason_to_wait() {
    let house = House::open(Times::fast()).await;
    let instance = house
        .source
        .create_instance(&InstanceSpec::new("shop", &[1, 1]));
    let instance = instance.expect("made");
    let before = census(&house.source, "demo");
    for status in [
        "reserved",
        "error",
        "maintenance",
        "awaiting-transfer",
        "error_extending",
    ] {
        let volume = &instance.volumes[1];
        house
            .source
            .set_status(volume, status)
            .expect("it is there");
        let backup = house.back_up_to_end(&instance.server).await;
        assert_eq!(state(backup.state), pb::State::Erred, "{status}");
        let error = backup.error.expect("an error");
        assert_eq!(error.reason, "STATUS_UNFIT", "{status}");
        assert!(error.message.contains(status), "{}", error.message);
        assert!(!error.guidance.is_empty() && !error.retryable, "{error:?}");
        let regular = house.keep(&instance.server).await;
        let regular = house.kept(&regular.id).await;
        assert_eq!(regular.error.expect("an error").reason, "STATUS_UNFIT");
        assert_eq!(
            census(&house.source, "demo"),
            before,
            "nothing is left of it"
        );
        house
            .source
            .set_status(volume, "in-use")
            .expect("it is there");
    }
    let backup = house.back_up_to_end(&instance.server).await;
    assert_eq!(state(backup.state), pb::State::Ok, "{:?}", backup.error);
}
