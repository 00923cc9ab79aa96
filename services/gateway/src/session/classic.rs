//! What a session does for a classic client, which has no socket that tells whether it is there.

use super::{Effect, Env, Session, State, Wanted};
use crate::protocol::{Find, Refusal};

/// As if so many strangers had not shown up: the ticket of a client that comes and goes too often goes in after most of a second.
const TOO_OFTEN: u32 = 6;

impl Session {
    /// The client asked for a session, and for this if it may have it. Its protocol carries no consent: the client asks for that.
    pub fn on_start(&mut self, find: Option<Find>, env: &Env<'_>) -> Vec<Effect> {
        self.connected = true;
        self.consent = true;
        find.map(|find| self.wish(find, env)).unwrap_or_default()
    }

    /// The client has not been heard of for a while: its ticket leaves the pool, and is not forgotten.
    pub fn on_quiet(&mut self) -> Vec<Effect> {
        let wanted = match &self.state {
            State::Waiting(waiting) => &waiting.wanted,
            State::Attaching(attaching) => &attaching.wanted,
            State::Idle | State::Chatting(_) => return Vec::new(),
        };
        self.suspended = Some(Box::new(wanted.clone()));
        self.stop_waiting()
    }

    /// The client is heard of again: it waits as before, with its old place. If that is too often, its ticket goes in a little later.
    pub fn on_heard(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let Some(Wanted { find, since_unix_ms, told, .. }) = self.suspended.take().map(|wanted| *wanted)
        else {
            return Vec::new();
        };
        let no_shows = if self.limits.find().is_ok() { 0 } else { TOO_OFTEN };
        vec![self.wait(find, since_unix_ms, told, no_shows, env)]
    }

    /// So much is about to be said, and counts for the rate at once: all of it, or nothing.
    ///
    /// # Errors
    /// `slow_down`.
    pub fn prepay(&mut self, messages: u32) -> Result<(), Refusal> {
        self.limits.messages(messages)?;
        self.prepaid = messages;
        Ok(())
    }

    /// The client doesn't want to look for shared interests any longer: it meets anybody who doesn't either, and still best who shares one.
    pub fn on_widened(&mut self, env: &Env<'_>) -> Vec<Effect> {
        match &mut self.state {
            State::Waiting(waiting) => {
                let mut wanted = waiting.wanted.clone();
                if !wanted.find.widen() {
                    return Vec::new();
                }
                let mut effects = self.stop_waiting();
                effects.push(self.wait(wanted.find, wanted.since_unix_ms, wanted.told, 0, env));
                return effects;
            }
            // In case that the stranger does not come.
            State::Attaching(attaching) => drop(attaching.wanted.find.widen()),
            State::Idle => drop(self.suspended.as_mut().map(|suspended| suspended.find.widen())),
            State::Chatting(_) => {}
        }
        Vec::new()
    }

    /// The client is gone for good.
    pub fn on_gone(&mut self, env: &Env<'_>) -> Vec<Effect> {
        (self.connected, self.suspended) = (false, None);
        self.abandon(env)
    }
}
