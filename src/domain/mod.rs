//! The words and rules of disaster recovery; it may not know I/O, async, clocks or randomness.
//!
//! # Glossary
//!
//! One word per idea, the same in every room, in the API and in the texts for people.
//!
//! | Word | Meaning |
//! |---|---|
//! | cloud | a named OpenStack deployment of our configuration |
//! | tenant | a project of a cloud, the place in which things are made |
//! | lane | a tenant together with the epoch under which one replica owns it |
//! | instance | a Nova server, ours or the user's |
//! | DR backup | the point that brings one instance back elsewhere: manifest, volume backups, records |
//! | volume backup | a Cinder backup of one volume |
//! | chain | the volume backups that bring one volume back together: increments down to a full one |
//! | link | one volume backup of a chain; the newest is its head, and each builds on its parent |
//! | record | what Cinder exports of a volume backup, and imports elsewhere |
//! | mirror | an imported record: it shares its bytes with the original |
//! | regular backup | the point that brings one instance back in its own tenant: manifest and snapshots |
//! | manifest | everything that is needed to rebuild the instance |
//! | point | a DR backup or a regular backup: something to go back to |
//! | schedule | what makes points of an instance on time, and keeps what its retention asks for |
//! | calendar | the moments at which a schedule runs; each is a slot |
//! | run | what became of one slot of a schedule, or of a caller's word to run now |
//! | retention | which points a policy keeps: a verdict on each, with its reasons |
//! | restoration | the rebuilding of an instance from a point |
//! | operation | one long piece of work on one resource of ours |
//! | effect | one thing that an operation does in a cloud, with a row in the ledger |
//! | ledger | all effects of one operation |
//! | disposal | what becomes of the thing that an effect made |
//! | thing | a resource in a cloud, by kind and id |
//! | sighting | a thing as a list call showed it |
//! | difference | one thing of a restored instance that is not as it was, with was, is and why |
//! | gap | one thing of an instance that its backup does not hold, or a restoration does not bring back |
//! | fact | what an effect brought to light, kept in the ledger |
//! | doubt | what speaks against the claim that a point can be restored; a look at its parts renews or doubts it |
//! | holder | who uses a thing by now: what a stranger holds stays, and is told |
//! | orphan | a thing with our mark that nothing of ours accounts for |
//! | fault | a call to a cloud that did not end well |
//! | planner | the pure function from an operation and its ledger to a decision |
//! | report | what the resource should tell its callers right now |
//! | event | a report with a sequence number |
//! | entry | who did what to which object, in the chain of the audit |

pub mod action;
pub mod audit;
pub mod calendar;
pub mod caller;
pub mod capture;
pub mod consistency;
pub mod decision;
pub mod difference;
pub mod effect;
pub mod error;
pub mod event;
pub mod fault;
pub mod flavor_fit;
pub mod head;
pub mod holder;
pub mod id;
pub mod inventory;
pub mod keeping;
pub mod ledger;
pub mod lifecycle;
pub mod manifest;
pub mod operation;
pub mod orphan;
pub mod page;
pub mod point;
pub mod progress;
pub mod record;
pub mod restoration;
pub mod retention;
pub mod schedule;
pub mod sighting;
pub mod text;
pub mod time;
pub mod user_data;
pub mod verification;
pub mod volume_backup;
pub mod volume_snapshot;
