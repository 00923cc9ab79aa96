//! Plans of which something came once. What each found is tested where it was mended, too; here it stays in its surroundings.

use std::time::Duration;

use crate::plan::{Fault, Happening, Host, Plan};

/// The plan of this name, with the strangers and the network of a seed; none if there is none of the name.
pub fn named(name: &str, seed: u64) -> Option<Plan> {
    let calm = Plan::of(seed).calm();
    match name {
        "clocks-apart" => Some(clocks_apart(calm)),
        "home-forgotten" => Some(home_forgotten(calm)),
        "half-deaf-relay" => Some(half_deaf_relay(calm)),
        _ => None,
    }
}

fn fault(at_ms: u64, lasts_ms: u64, fault: Fault) -> Happening {
    Happening { at: Duration::from_millis(at_ms), lasts: Duration::from_millis(lasts_ms), fault }
}

/// Patience was told by the owner's clock from times of others: two whose time had come waited on (I4).
fn clocks_apart(mut plan: Plan) -> Plan {
    plan.skew_ms = 10_000;
    for (number, turns) in plan.strangers.iter_mut().enumerate() {
        for turn in turns {
            turn.interests = vec![["tea", "chess", "gardens"][number % 3]];
        }
    }
    plan
}

/// One gateway had moved its seats to a chat's next home, and the store forgot that before the other gateway asked: both sat
/// alone until the chat ended. It came with the strangers of seed 3285.
fn home_forgotten(mut plan: Plan) -> Plan {
    plan.faults = vec![
        fault(4_170, 4_368, Fault::Part(Host::Gateway(1), Host::Relay(0))),
        fault(7_795, 286, Fault::StoreLoses),
    ];
    plan
}

/// A client came to another gateway, which couldn't take its seat where the chat was, and took it at the next home. Its first
/// gateway held it for away all the while, so the other stranger was never looked for. It came with the strangers of seed 4012.
fn half_deaf_relay(mut plan: Plan) -> Plan {
    plan.faults = vec![
        fault(5_653, 1_478, Fault::PartOneWay(Host::Gateway(1), Host::Relay(1))),
        fault(8_285, 3_378, Fault::StoreLossy(13)),
        fault(9_469, 2_511, Fault::Disconnect(1)),
    ];
    plan
}
