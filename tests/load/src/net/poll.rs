//! Waiting for sockets and for time.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};

/// Stands for the timer; sockets have other tokens.
const TIMER: u64 = u64::MAX;
/// How many sockets are looked at in one go.
const BATCH: usize = 512;

/// What a socket is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The token that the socket was added with.
    pub token: u64,
    /// There is something to read, or the end.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// The other side has closed, or the connection is broken.
    pub ended: bool,
}

/// An epoll instance and a timer.
pub struct Poll {
    epoll: OwnedFd,
    timer: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    /// Nothing to wait for yet.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, timer, events: Vec::with_capacity(BATCH) })
    }

    /// From now on tells when this socket becomes ready. Once it is closed, it is forgotten.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token), flags)?)
    }

    /// Waits for sockets, at most for so long.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn wait(&mut self, time: Duration, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.events.clear();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let timeout = if time.is_zero() {
            Some(&now)
        } else {
            self.set_timer(time)?;
            None
        };
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().filter(|event| event.data.u64() != TIMER).map(|event| {
            let flags = event.flags;
            let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            Ready {
                token: event.data.u64(),
                readable: ended || flags.contains(EventFlags::IN),
                writable: ended || flags.contains(EventFlags::OUT),
                ended,
            }
        }));
        Ok(())
    }

    fn set_timer(&self, after: Duration) -> io::Result<()> {
        let value = Timespec {
            tv_sec: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: after.subsec_nanos().into(),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::Instant};

    use super::*;
    use crate::net::Socket;

    #[test]
    fn time_passes_in_less_than_milliseconds() {
        let mut poll = Poll::new().expect("an epoll");
        let start = Instant::now();
        let mut ready = Vec::new();
        for _ in 0..20 {
            poll.wait(Duration::from_micros(100), &mut ready).expect("a wait");
        }
        assert!(start.elapsed() >= Duration::from_millis(2));
        assert!(ready.is_empty());
    }

    #[test]
    fn a_socket_is_ready_once_it_is_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut poll = Poll::new().expect("an epoll");
        let socket = Socket::open(listener.local_addr().expect("an address"), None).expect("a socket");
        poll.add(&socket, 7).expect("added");
        let mut ready = Vec::new();
        while ready.is_empty() {
            poll.wait(Duration::from_secs(5), &mut ready).expect("a wait");
        }
        let expected = Ready { token: 7, readable: false, writable: true, ended: false };
        assert_eq!(ready, [expected]);
        assert!(socket.problem().is_none());
    }
}
