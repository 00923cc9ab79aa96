//! Whether a chat goes on whatever breaks: what scripted strangers said and saw, and whether that is right.
//!
//! Every [`Saying`] names its chat, who says it and its number, with a hash over all of it. Each stranger keeps a [`Diary`] of what it said and
//! what it was shown, after its client has dropped what it had seen already. [`judge()`] looks at all diaries together: what was lost,
//! duplicated, reordered or shown in the wrong chat, which chats ended though nobody left, and how long each message took. [`Pauses`] tell how long
//! each pair had to wait after each fault, [`chart()`] draws them. Times are counted from the beginning of the run.

mod chart;
mod diary;
mod judge;
mod pauses;
mod saying;

pub use self::{
    chart::chart,
    diary::{Chat, Closed, Diary, End, Ended, Said, Shown},
    judge::{Delivery, Findings, Pair, Verdict, judge},
    pauses::{Mark, Pauses},
    saying::{ChatTag, Saying},
};
