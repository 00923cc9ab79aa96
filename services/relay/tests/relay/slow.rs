//! A gateway that doesn't take its frames.

use stroll_proto::v1::Mode;
use tonic::Code;

use crate::world::World;

#[tokio::test]
async fn a_slow_gateway_is_cut_off_and_no_other_feels_it() {
    let world = World::start().await;
    let (pairing, mut one, mut slow) = world.chat(Mode::Text).await;
    let other = world.pair(Mode::Text);
    let mut quick = world.gateway().await;
    one.attach(2, other.token(1));
    quick.attach(1, other.token(2));
    one.started(2).await;
    quick.started(1).await;

    // More than the relay keeps for one gateway, and all buffers on the way hold besides.
    let long = "😀".repeat(2_000);
    let mut seq = 0;
    while seq < 4_000 {
        for _ in 0..100 {
            seq += 1;
            one.say(1, seq, &long);
        }
        one.say(2, seq / 100, "meanwhile");
        assert_eq!(quick.message(1).await, (1, seq / 100, "meanwhile".to_owned()));
    }
    assert_eq!(one.peer(1).await, (2, true));
    one.is_quiet().await;
    assert_eq!(slow.end().await.code(), Code::ResourceExhausted);

    let again = world.gateway().await;
    again.attach_having(1, pairing.token(2), 17);
    assert_eq!(one.peer(1).await, (2, false));
    assert_eq!(one.resumed(1).await, 17);
}
