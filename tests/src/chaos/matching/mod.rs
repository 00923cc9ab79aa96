//! Strangers who find and leave again and again.
//!
//! A [`Plan`] says from one number what each stranger wants and what happens to the cluster. Each stranger [`roam()`]s and keeps a
//! [`Diary`]; [`judge()`] looks at all diaries together. Times are counted from the beginning of the run.

mod diary;
mod judge;
mod plan;
mod roam;

pub use self::{
    diary::{Chat, Diary, Ending, Wait},
    judge::{Verdict, judge},
    plan::{Fault, Plan, Turn, Wish},
    roam::{Timetable, roam},
};
