//! The demonstration, as anybody runs it first.

use std::process::Stdio;

use tokio::process::Command;

use crate::stage::finish;

#[tokio::test]
async fn the_demonstration_brings_the_instance_back_byte_for_byte() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drbackup"));
    command
        .args(["demo", "--fast"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let answer = finish(command).await;

    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.stdout.matches("  equal\n").count(), 3, "{answer:?}");
    assert!(answer.stdout.contains("  ACTIVE\n"), "{answer:?}");
    assert!(
        answer.stdout.contains("The instance is back in cloud dr"),
        "{answer:?}"
    );
    assert!(
        answer.stderr.contains("restoration of shop: OK"),
        "{answer:?}"
    );
}
