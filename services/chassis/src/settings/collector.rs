//! Goes through arguments and environment until clap finds nothing wrong any more, and keeps what it found.
//!
//! clap stops at the first error. So each error is noted, what caused it is taken away, and clap is asked again. The
//! environment goes the same way: what it sets is put among the arguments as `--flag=value`, and it is remembered where
//! that came from, so that an error names the variable.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    rc::Rc,
};

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

pub(super) struct Collector<E> {
    command: Command,
    settings: Vec<Rc<Setting>>,
    arguments: Vec<OsString>,
    environment: E,
    /// Where a setting came from, by its long flag, if not from an argument.
    origins: HashMap<String, String>,
    asked_for: Option<ErrorKind>,
    pub(super) problems: Vec<String>,
}

/// A setting, as far as this module has to know it.
struct Setting {
    id: String,
    flag: String,
    variable: Option<String>,
    is_secret: bool,
    is_switch: bool,
}

impl<E: Fn(&str) -> Option<OsString>> Collector<E> {
    pub(super) fn new(command: Command, arguments: Vec<OsString>, environment: E) -> Self {
        Self {
            settings: command.get_arguments().filter_map(Setting::of).map(Rc::new).collect(),
            command,
            arguments,
            environment,
            origins: HashMap::new(),
            asked_for: None,
            problems: Vec::new(),
        }
    }

    /// What clap makes of everything that is not wrong. Nothing where help was asked for, or if that can't be had.
    pub(super) fn matches(&mut self) -> Option<ArgMatches> {
        for setting in self.settings.clone() {
            // clap would read the process's own environment.
            self.command = std::mem::take(&mut self.command)
                .mut_arg(&setting.id, |argument| argument.env(None::<&'static str>));
            self.read_environment(&setting);
        }
        loop {
            let program = [OsString::from("stroll")];
            let arguments = program.into_iter().chain(self.arguments.iter().cloned());
            let error = match self.command.clone().try_get_matches_from(arguments) {
                Ok(matches) => return Some(matches),
                Err(error) => error,
            };
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
                self.asked_for = Some(error.kind());
                return None;
            }
            if !self.take_out(&error) {
                self.problems.push(first_line(&error));
                return None;
            }
        }
    }

    /// Help or version, if that is what was asked for.
    pub(super) fn asked_for(&self) -> Option<ErrorKind> {
        self.asked_for
    }

    fn read_environment(&mut self, setting: &Setting) {
        let Some(variable) = &setting.variable else { return };
        let argument = match self.value_of(variable, setting.is_secret) {
            Ok(None) => return,
            Ok(Some(_)) if self.arguments.iter().any(|argument| setting.is_named_in(argument)) => return,
            Ok(Some((origin, value))) => {
                let argument = setting.as_argument(&value);
                let argument = argument.map_err(|problem| format!("{origin}: {problem}"));
                self.origins.insert(setting.flag.clone(), origin);
                argument
            }
            Err(problem) => Err(problem),
        };
        match argument {
            Ok(argument) => drop(self.arguments.splice(0..0, argument)),
            Err(problem) => self.give_up(setting, problem),
        }
    }

    /// Notes what is wrong with a setting, after which it is not told as missing too.
    fn give_up(&mut self, setting: &Setting, problem: String) {
        self.problems.push(problem);
        self.command =
            std::mem::take(&mut self.command).mut_arg(&setting.id, |argument| argument.required(false));
    }

    /// The value of a variable or of the file that its `…_FILE` names, and which of the two it is.
    fn value_of(&self, variable: &str, is_secret: bool) -> Result<Option<(String, String)>, String> {
        let value = self.text_of(variable)?;
        let file_variable = format!("{variable}_FILE");
        let path = if is_secret { self.text_of(&file_variable)? } else { None };
        match (value, path) {
            (Some(_), Some(_)) => {
                Err(format!("{variable} and {file_variable} are both set, only one may be"))
            }
            (Some(value), None) => Ok(Some((variable.to_owned(), value))),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(content) => Ok(Some((file_variable, content.trim().to_owned()))),
                Err(error) => Err(format!("{file_variable}: cannot read {path}: {error}")),
            },
            (None, None) => Ok(None),
        }
    }

    fn text_of(&self, variable: &str) -> Result<Option<String>, String> {
        let value = (self.environment)(variable).filter(|value| !value.is_empty());
        let text = value.map(OsString::into_string).transpose();
        text.map_err(|_| format!("{variable}: the value is not valid UTF-8"))
    }

    /// Notes an error and takes away what caused it. False if that can't be told.
    fn take_out(&mut self, error: &clap::Error) -> bool {
        let culprits = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(culprit)) => vec![culprit.clone()],
            Some(ContextValue::Strings(culprits)) => culprits.clone(),
            _ => return false,
        };
        let mut progress = false;
        for culprit in culprits {
            progress |= if error.kind() == ErrorKind::UnknownArgument {
                self.take_out_unknown(&culprit, error)
            } else {
                self.take_out_setting(&culprit, error)
            };
        }
        progress
    }

    fn take_out_unknown(&mut self, culprit: &str, error: &clap::Error) -> bool {
        let hint = match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(suggestion)) => format!(", did you mean {suggestion}?"),
            _ => String::new(),
        };
        self.problems.push(format!("{culprit}: no such setting{hint}"));
        let is_it = |argument: &OsStr| {
            let argument = argument.to_string_lossy();
            argument == culprit
                || argument.split('=').next() == Some(culprit)
                || (!culprit.starts_with("--") && culprit.starts_with('-') && argument.starts_with(culprit))
        };
        // A value after an unknown flag is most likely its own.
        self.remove(is_it, culprit.starts_with('-'))
    }

    fn take_out_setting(&mut self, culprit: &str, error: &clap::Error) -> bool {
        let Some(flag) = culprit.split([' ', '=', '[']).next() else { return false };
        let Some(setting) = self.settings.iter().find(|setting| setting.flag == flag).cloned() else {
            return false;
        };
        let is_missing = error.kind() == ErrorKind::MissingRequiredArgument;
        let problem = if is_missing {
            format!("{} is required", setting.names())
        } else {
            let origin = self.origins.get(flag).map_or(flag, String::as_str);
            format!("{origin}: {}", complaint(error, &setting))
        };
        self.give_up(&setting, problem);
        let removed = self.remove(|argument| setting.is_named_in(argument), !setting.is_switch);
        is_missing || removed
    }

    /// Takes arguments away, and with each the one after it if that is a value.
    fn remove(&mut self, is_it: impl Fn(&OsStr) -> bool, may_have_value: bool) -> bool {
        let before = self.arguments.len();
        let mut expects_value = false;
        self.arguments.retain(|argument| {
            let text = argument.to_string_lossy();
            let is_value = std::mem::take(&mut expects_value) && !text.starts_with('-');
            let goes = is_it(argument);
            expects_value = goes && may_have_value && !text.contains('=');
            !goes && !is_value
        });
        self.arguments.len() < before
    }
}

impl Setting {
    fn of(argument: &Arg) -> Option<Self> {
        let flag = format!("--{}", argument.get_long()?);
        let is_own = matches!(argument.get_action(), ArgAction::Help | ArgAction::Version);
        (!is_own).then(|| Self {
            id: argument.get_id().to_string(),
            flag,
            variable: argument.get_env().and_then(OsStr::to_str).map(str::to_owned),
            is_secret: argument.is_hide_env_values_set(),
            is_switch: matches!(argument.get_action(), ArgAction::SetTrue | ArgAction::SetFalse),
        })
    }

    fn is_named_in(&self, argument: &OsStr) -> bool {
        argument.to_string_lossy().split('=').next() == Some(&self.flag)
    }

    /// What the arguments would have to be for the setting to have this value.
    fn as_argument(&self, value: &str) -> Result<Option<OsString>, String> {
        if !self.is_switch {
            return Ok(Some(format!("{}={value}", self.flag).into()));
        }
        match value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(Some(self.flag.clone().into())),
            "false" | "no" | "off" | "0" => Ok(None),
            _ => Err(format!("invalid value '{value}': expected true or false")),
        }
    }

    fn names(&self) -> String {
        match &self.variable {
            Some(variable) if self.is_secret => format!("{} ({variable}, {variable}_FILE)", self.flag),
            Some(variable) => format!("{} ({variable})", self.flag),
            None => self.flag.clone(),
        }
    }
}

/// What is wrong with a value, without the value if that is secret.
fn complaint(error: &clap::Error, setting: &Setting) -> String {
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value.as_str(),
        _ => "",
    };
    let reason = reason(error);
    match (setting.is_secret, value) {
        // A parser may have put the value, or a part of it, into its words.
        (true, value) if !value.is_empty() && reason.contains(value) => "invalid value".to_owned(),
        (true, _) | (false, "") => reason,
        (false, value) => format!("invalid value '{value}': {reason}"),
    }
}

fn reason(error: &clap::Error) -> String {
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::ArgumentConflict, _) => "given more than once".to_owned(),
        (ErrorKind::TooManyValues, _) => "takes no value".to_owned(),
        (_, Some(ContextValue::Strings(valid))) if !valid.is_empty() => {
            format!("expected {}", valid.join(", "))
        }
        _ => "a value is missing".to_owned(),
    }
}

/// clap's own words, without colours, its label and the usage below.
pub(super) fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
