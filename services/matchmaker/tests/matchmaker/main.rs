//! The matchmaker from outside: its store, and its service over real sockets.

#[cfg(test)]
mod failover;
#[cfg(test)]
mod places;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod service;
#[cfg(test)]
mod shards;
#[cfg(test)]
mod support;
#[cfg(test)]
mod survival;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod wishes;
