//! Fleet directories: what is wrong with them is said with file, line and remedy, all at once.

mod broken;
mod hostile;
