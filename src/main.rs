//! The binary: hands its arguments to the rooms.
fn main() {}
