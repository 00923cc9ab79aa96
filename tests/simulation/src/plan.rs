//! What happens in a run, all of it decided by a seed: the network, the clocks, the faults, and what the strangers do.

use std::{fmt, ops::Range, time::Duration};

use chassis::Random;

/// How many of each there are.
pub const GATEWAYS: usize = 2;
pub const RELAYS: usize = 2;
pub const MATCHMAKERS: usize = 2;
pub const MODERATORS: usize = 2;
/// From where strangers connect.
pub const HOMES: usize = 2;

/// When faults happen.
const FAULTY: Range<Duration> = seconds(4)..seconds(24);
/// How long one lasts.
const LASTS: Range<Duration> = Duration::from_millis(200)..seconds(5);
/// After this a gateway knows that a client is gone.
const NOTICED: Duration = seconds(60);
/// How long before a connection is lost the news of a chat may be under way on it.
const RACE: Duration = seconds(1);
/// After this nobody looks for anybody any more.
const LAST_WISH: Duration = seconds(28);
/// By then everybody has to be through.
const LIMIT: Duration = seconds(100);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A machine of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    Gateway(usize),
    Relay(usize),
    Matchmaker(usize),
    Moderation(usize),
    Home(usize),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(number) => write!(f, "gateway-{number}"),
            Self::Relay(number) => write!(f, "relay-{number}"),
            Self::Matchmaker(number) => write!(f, "matchmaker-{number}"),
            Self::Moderation(number) => write!(f, "moderation-{number}"),
            Self::Home(number) => write!(f, "home-{number}"),
        }
    }
}

/// Something that goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL; another process starts in its place.
    Kill(Host),
    /// SIGTERM; when the process has drained, another starts in its place.
    Drain(Host),
    /// Nothing passes between the two, either way, and what was under way is lost: connections that carried anything break.
    Part(Host, Host),
    /// Nothing passes from the first to the second.
    PartOneWay(Host, Host),
    /// What goes between the two comes when this is over, all at once.
    Stall(Host, Host),
    /// Everything takes up to this long.
    Slow(Duration),
    /// The store has lost everything.
    StoreLoses,
    /// No matchmaker reaches the store: connections are refused.
    StoreRefuses,
    /// No matchmaker hears anything of the store.
    StoreSilent,
    /// One in this many questions to the store gets no answer.
    StoreLossy(u64),
    /// This matchmaker hears nothing of the store.
    CutOff(usize),
    /// The stranger of this number loses its connection.
    Disconnect(usize),
}

/// A fault with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    pub at: Duration,
    pub lasts: Duration,
    pub fault: Fault,
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, lasts, fault } = self;
        write!(f, "at {:.3} s, for {:.3} s: {fault:?}", at.as_secs_f64(), lasts.as_secs_f64())
    }
}

/// What one stranger does from one wish to the next.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Does nothing before.
    pub pause: Duration,
    /// What they like to talk about.
    pub interests: Vec<&'static str>,
    /// How many messages they send.
    pub says: u64,
    /// The pause between two of these.
    pub every: Range<Duration>,
    /// Leaves after this many of its own messages, whatever is still on its way.
    pub walks_out_after: Option<u64>,
    /// Says something rude as its message of this number.
    pub rude_at: Option<u64>,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// The turns of each stranger.
    pub strangers: Vec<Vec<Turn>>,
    /// How long a packet takes.
    pub latency: Range<Duration>,
    /// By how much each machine's clock is wrong, in milliseconds, by the order of its first start; a restarted process has another one.
    pub skew_ms: u64,
    /// Whether relays withhold what was not inspected.
    pub holds: bool,
    pub faults: Vec<Happening>,
    pub last_wish: Duration,
    pub limit: Duration,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let random = Random::seeded(seed);
        let strangers = 2 * usize(3 + random.below(3));
        let faults = match random.below(10) {
            0 => 0,
            1 | 2 => 6 + random.below(7),
            _ => 1 + random.below(5),
        };
        let slowest = [2, 5, 20, 60][usize(random.below(4))];
        let mut faults: Vec<_> = (0..faults).map(|_| happening(&random, strangers)).collect();
        faults.sort_by_key(|happening| happening.at);
        Self {
            seed,
            strangers: (0..strangers).map(|_| turns(&random, random.below(12) == 0)).collect(),
            latency: Duration::from_millis(1)..Duration::from_millis(slowest),
            skew_ms: [0, 0, 50, 2_000, 10_000][usize(random.below(5))],
            holds: random.below(3) == 0,
            faults,
            last_wish: LAST_WISH,
            limit: LIMIT,
        }
    }

    /// Whether a stranger can't be reached at some moment of this time.
    pub fn hides(&self, stranger: usize, from: Duration, until: Duration) -> bool {
        let hides = |fault| fault == Fault::Disconnect(stranger) || home_of(fault) == Some(home(stranger));
        let meets = |happening: &Happening| happening.at <= until && happening.at + happening.lasts >= from;
        self.faults.iter().any(|happening| hides(happening.fault) && meets(happening))
    }

    /// Whether this stranger says rude things.
    pub fn is_rude(&self, stranger: usize) -> bool {
        self.strangers[stranger].iter().any(|turn| turn.rude_at.is_some())
    }

    /// Whether somebody may be unreachable at this time without its gateway's knowing.
    pub fn hides_somebody(&self, at: Duration) -> bool {
        self.happens(at, |fault| {
            let kills = matches!(
                fault,
                Fault::Kill(Host::Gateway(_)) | Fault::Drain(Host::Gateway(_)) | Fault::Disconnect(_)
            );
            kills || home_of(fault).is_some()
        })
    }

    /// Whether a relay's word to somebody may be late at this time.
    pub fn delays_a_relay(&self, at: Duration) -> bool {
        let is_relay = |host| matches!(host, Host::Relay(_));
        self.happens(at, |fault| match fault {
            Fault::Kill(host) | Fault::Drain(host) => is_relay(host),
            Fault::Part(one, other) | Fault::PartOneWay(one, other) | Fault::Stall(one, other) => {
                is_relay(one) || is_relay(other)
            }
            Fault::Slow(_) => true,
            _ => false,
        })
    }

    fn happens(&self, at: Duration, hides: impl Fn(Fault) -> bool) -> bool {
        let before = |happening: &Happening| {
            (happening.at.saturating_sub(RACE)..happening.at + happening.lasts + NOTICED).contains(&at)
        };
        self.faults.iter().any(|happening| hides(happening.fault) && before(happening))
    }

    /// The same without anything that goes wrong.
    pub fn calm(self) -> Self {
        Self { faults: Vec::new(), ..self }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} strangers, packets take {:?}, clocks are wrong by up to {} ms, what is not inspected {}",
            self.seed,
            self.strangers.len(),
            self.latency,
            self.skew_ms,
            if self.holds { "waits" } else { "passes" },
        )?;
        self.faults.iter().try_for_each(|happening| writeln!(f, "  {happening}"))
    }
}

fn usize(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}

/// From where the stranger of this number connects.
pub fn home(stranger: usize) -> Host {
    Host::Home(stranger % HOMES)
}

/// The home whose way to a gateway breaks.
fn home_of(fault: Fault) -> Option<Host> {
    match fault {
        Fault::Part(one, other) | Fault::PartOneWay(one, other) => {
            [one, other].into_iter().find(|host| matches!(host, Host::Home(_)))
        }
        _ => None,
    }
}

fn turns(random: &Random, is_rude: bool) -> Vec<Turn> {
    (0..4).map(|_| turn(random, is_rude)).collect()
}

fn turn(random: &Random, is_rude: bool) -> Turn {
    let says = 4 + random.below(16);
    let fastest = Duration::from_millis(50 + random.below(600));
    let interests = match random.below(4) {
        0 => vec!["tea"],
        1 => vec!["chess", "tea"],
        _ => Vec::new(),
    };
    Turn {
        pause: random.duration(Duration::ZERO..seconds(2)),
        interests,
        says,
        every: fastest..fastest * 3,
        walks_out_after: (random.below(4) == 0).then(|| random.below(says)),
        rude_at: is_rude.then(|| 1 + random.below(says)),
    }
}

fn happening(random: &Random, strangers: usize) -> Happening {
    let fault = fault(random, strangers);
    let lasts = match fault {
        Fault::Slow(_) | Fault::StoreLossy(_) => LASTS.start..LASTS.end * 2,
        _ => LASTS,
    };
    Happening { at: random.duration(FAULTY), lasts: random.duration(lasts), fault }
}

fn fault(random: &Random, strangers: usize) -> Fault {
    let one_of = |count: usize| usize(random.below(count as u64));
    let gateway = || Host::Gateway(one_of(GATEWAYS));
    let relay = || Host::Relay(one_of(RELAYS));
    let matchmaker = || Host::Matchmaker(one_of(MATCHMAKERS));
    let moderation = || Host::Moderation(one_of(MODERATORS));
    let home = || Host::Home(one_of(HOMES));
    let process = || match random.below(7) {
        0 | 1 => gateway(),
        2 | 3 => relay(),
        4 | 5 => matchmaker(),
        _ => moderation(),
    };
    let link = || match random.below(6) {
        0 | 1 => (gateway(), relay()),
        2 => (gateway(), matchmaker()),
        3 => (relay(), matchmaker()),
        4 => (relay(), moderation()),
        _ => (home(), gateway()),
    };
    match random.below(16) {
        0..=3 => Fault::Kill(process()),
        4 => Fault::Drain(process()),
        5 | 6 => {
            let (one, other) = link();
            Fault::Part(one, other)
        }
        7 => match (link(), random.below(2)) {
            ((one, other), 0) => Fault::PartOneWay(one, other),
            ((one, other), _) => Fault::PartOneWay(other, one),
        },
        8 => {
            let (one, other) = link();
            Fault::Stall(one, other)
        }
        9 => Fault::Slow(Duration::from_millis(50 + random.below(400))),
        10 => Fault::StoreLoses,
        11 => match random.below(2) {
            0 => Fault::StoreRefuses,
            _ => Fault::StoreSilent,
        },
        12 => Fault::StoreLossy(2 + random.below(20)),
        13 => Fault::CutOff(one_of(MATCHMAKERS)),
        _ => Fault::Disconnect(one_of(strangers)),
    }
}
