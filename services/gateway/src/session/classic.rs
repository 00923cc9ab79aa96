//! What a session does for a classic client, which has no socket that tells whether it is there.

use super::{Effect, Env, Session, State, Wanted};
use crate::protocol::Find;

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

    /// The client is heard of again: it waits as before, with its old place.
    pub fn on_heard(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let Some(Wanted { find, since_unix_ms, told, .. }) = self.suspended.take().map(|wanted| *wanted)
        else {
            return Vec::new();
        };
        vec![self.wait(find, since_unix_ms, told, 0, env)]
    }

    /// The client doesn't want to look for shared interests any longer: it meets anybody who doesn't either, and still best who shares one.
    pub fn on_widened(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let widened = |find: &Find| Find { only_interests: false, patience_ms: 0, ..find.clone() };
        match &mut self.state {
            State::Waiting(waiting) if waiting.wanted.find.only_interests => {
                let wanted = waiting.wanted.clone();
                let mut effects = self.stop_waiting();
                effects.push(self.wait(widened(&wanted.find), wanted.since_unix_ms, wanted.told, 0, env));
                effects
            }
            // In case that the stranger does not come.
            State::Attaching(attaching) => {
                attaching.wanted.find = widened(&attaching.wanted.find);
                Vec::new()
            }
            State::Waiting(_) | State::Chatting(_) => Vec::new(),
            State::Idle => {
                if let Some(suspended) = &mut self.suspended {
                    suspended.find = widened(&suspended.find);
                }
                Vec::new()
            }
        }
    }

    /// The client is gone for good.
    pub fn on_gone(&mut self, env: &Env<'_>) -> Vec<Effect> {
        (self.connected, self.suspended) = (false, None);
        self.abandon(env)
    }
}
