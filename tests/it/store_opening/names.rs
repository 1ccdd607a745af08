//! Which file a database is, and who has it; it may not know what is kept there.

use diesel::connection::SimpleConnection as _;
use drbackup::store::OpenError;

use super::{admit, backup, child, open, path_of, sqlite};
use crate::store_contract::Site;

#[tokio::test]
async fn one_sqlite_file_is_one_under_every_name() {
    let site = Site::sqlite();
    let path = path_of(&site);
    let other = |name: &str| path.with_file_name(name);
    let (mut child, _) = child(&site);
    let process = child.id().to_string();
    std::os::unix::fs::symlink(&path, other("symbolic")).expect("a link");
    std::fs::hard_link(&path, other("hard")).expect("a link");
    // A symbolic link leads to the file beside the database too, which tells who holds it.
    for (name, told) in [("symbolic", process.as_str()), ("hard", "in use")] {
        let refused = open(&format!("sqlite:{}", other(name).display())).await;
        let refused = refused.err().expect("refused");
        assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
        assert!(refused.to_string().contains(told), "{refused}");
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    let first = site.open().await;
    let refused = open(&format!("sqlite:{}", other("hard").display())).await;
    let refused = refused.err().expect("refused");
    assert!(refused.to_string().contains("this process"), "{refused}");
    // Whoever was refused has taken nothing from the one that works.
    admit(&*first, &backup()).await;
    let mut stranger = sqlite(&site);
    stranger
        .batch_execute("BEGIN EXCLUSIVE; ROLLBACK")
        .expect("SQLite locks as ever");
    drop(first);
    open(&format!("sqlite:{}", other("symbolic").display()))
        .await
        .expect("free");
}

#[tokio::test]
async fn a_lock_of_a_version_before_is_met_too() {
    let site = Site::sqlite();
    drop(site.open().await);
    let name = format!("{}.lock", path_of(&site).display());
    let before = std::fs::File::options()
        .write(true)
        .open(&name)
        .expect("it is there");
    before.lock().expect("locked");
    let refused = site.try_open().await.err().expect("refused");
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    drop(before);
    site.open().await;
}

#[tokio::test]
async fn a_lock_file_that_cannot_be_had_is_named() {
    let site = Site::sqlite();
    drop(site.open().await);
    let name = format!("{}.lock", path_of(&site).display());
    // A folder is refused to everybody, also to whom no file is.
    std::fs::remove_file(&name).expect("removed");
    std::fs::create_dir(&name).expect("a folder");
    let refused = site.try_open().await.err().expect("refused");
    assert!(refused.to_string().contains(&name), "{refused}");
    std::fs::remove_dir(&name).expect("removed");
    site.open().await;
}
