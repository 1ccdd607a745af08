//! What planners make of the statuses in which they find things; it may not know the engine.

use super::world::{answer, create, create_regular, plan, row};
use crate::domain::{
    capture::Capture, decision::Ending, effect::Fact, ledger::Ledger, time::Timestamp,
};

#[test]
fn a_volume_whose_status_does_not_pass_is_refused_before_anything_is_made() {
    let operations = [
        create(Capture::Snapshot),
        create(Capture::VolumeInUse),
        create(Capture::SnapshotThenCopy),
        create_regular(),
    ];
    let refused = [
        "reserved",
        "maintenance",
        "awaiting-transfer",
        "error",
        "error_extending",
    ];
    let waited_for = [
        "in-use",
        "available",
        "extending",
        "detaching",
        "levitating",
    ];
    for operation in &operations {
        for status in refused.iter().chain(&waited_for) {
            let mut ledger = Ledger::default();
            for wish in plan(operation, &ledger, Timestamp(1)).wishes {
                let mut read = row(operation, wish, ledger.next_ordinal());
                answer(&mut read, 2);
                if let Some(Fact::Instance(manifest)) = &mut read.fact {
                    manifest.volumes[1].status = Some((*status).to_owned());
                }
                ledger.put(read);
            }
            assert!(
                ledger
                    .iter()
                    .any(|read| matches!(read.fact, Some(Fact::Instance(_))))
            );
            let decision = plan(operation, &ledger, Timestamp(1));
            if waited_for.contains(status) {
                assert_eq!(decision.ending, Ending::Open, "{status}");
                assert!(!decision.wishes.is_empty(), "{status}");
                continue;
            }
            let Ending::Erred(error) = decision.ending else {
                panic!("{status} is refused at once")
            };
            assert_eq!(error.reason, "STATUS_UNFIT");
            assert!(
                error.message.contains(&format!("is {status}")),
                "{}",
                error.message
            );
            assert!(!error.guidance.is_empty());
            assert_eq!(decision.wishes, [], "nothing was made for {status}");
        }
    }
}
