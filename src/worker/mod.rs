//! What is done because time passes and nobody asks; it may not know doors, clouds or planners.

pub mod admin_uses;
pub mod history_pruner;
pub mod orphan_scanner;
pub mod retention;
pub mod ticker;
pub mod verifier;
