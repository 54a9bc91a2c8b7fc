//! The operator's side: what a fleet directory says, checked and compiled into the records that the
//! handler reads.

pub mod time_zone;
