//! What is done because time passes and nobody asks; it may not know doors, clouds or planners.

pub mod counter;
pub mod retention;
pub mod sweeper;
pub mod ticker;
pub mod verifier;
