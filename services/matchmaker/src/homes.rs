//! Where chats go on whose relay was lost, or stops.

use chassis::id::Epoch;
use futures_util::future::try_join_all;
use stroll_proto::v1::{
    self as v1, ChooseHomesRequest, ChooseHomesResponse, HomeAnswer, HomeQuestion, NoHomeReason,
    home_answer::Outcome,
};

use crate::{Error, error::Result, placement, pool::Home, replica::Replica};

/// How many chats one call asks for at most.
const MAX_QUESTIONS: usize = 512;

/// Answers a call.
///
/// # Errors
/// `Away` if the store is.
pub(crate) async fn choose(replica: &Replica, request: ChooseHomesRequest) -> Result<ChooseHomesResponse> {
    let ChooseHomesRequest { questions, zone } = request;
    if questions.len() > MAX_QUESTIONS {
        return Err(Error::Invalid("one call asks for at most 512 chats"));
    }
    let answers = questions.into_iter().map(|question| answer(replica, &zone, question));
    Ok(ChooseHomesResponse { answers: try_join_all(answers).await? })
}

async fn answer(replica: &Replica, zone: &str, question: HomeQuestion) -> Result<HomeAnswer> {
    let outcome = match find(replica, zone, question).await {
        Ok(home) => Outcome::Home(home),
        Err(No::Home(reason)) => Outcome::None(reason.into()),
        Err(No::Answer(error)) => return Err(error),
    };
    Ok(HomeAnswer { outcome: Some(outcome) })
}

/// Why there is no home to tell.
enum No {
    Home(NoHomeReason),
    Answer(Error),
}

async fn find(replica: &Replica, zone: &str, question: HomeQuestion) -> std::result::Result<v1::Home, No> {
    let Replica { context, pool, members, .. } = replica;
    let HomeQuestion { seat_token, lost_relay, held_at } = question;
    let claims = placement::claims(&context.secret, &seat_token, context.clock.unix_ms());
    let (chat, claims) = claims.map_err(|_| No::Home(NoHomeReason::BadToken))?;
    let known = Epoch(claims.epoch);
    let proposed = if lost_relay.is_empty() { None } else { members.choose_other_relay(zone, &lost_relay) };
    let Home { epoch, relay } = match proposed {
        Some(proposed) => pool.choose_home(chat, known, &proposed).await.map_err(No::Answer)?,
        // The other stranger may have asked while there was a relay.
        None => {
            let none = if lost_relay.is_empty() { NoHomeReason::NotMoved } else { NoHomeReason::NoRelay };
            let is_news = |home: &Home| home.epoch > known || (home.epoch == known && lost_relay.is_empty());
            let home = match known.0.checked_sub(1).filter(|before| *before > 0 && !held_at.is_empty()) {
                // Where the store has lost the home, it is known again.
                Some(before) => pool.choose_home(chat, Epoch(before), &held_at).await.map(Some),
                None => pool.home(chat).await,
            };
            let home = home.map_err(No::Answer)?;
            home.filter(is_news).ok_or(No::Home(none))?
        }
    };
    let seat_token = placement::moved_seat_token(&context.secret, claims, epoch, context.clock.unix_ms());
    Ok(v1::Home { epoch: epoch.0, relay, seat_token })
}
