//! Looks up variables, checks their values, and names the variable that is wrong.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use crate::queue::Address;

use super::variables::{REDIS_URL, S3_ENDPOINT, Variable};

/// The source of variables: the process's environment, or a test's.
pub(super) struct Environment<'a>(pub(super) &'a dyn Fn(&str) -> Option<OsString>);

/// A value, and the name of the variable that was set.
pub(super) struct Value {
    pub(super) text: String,
    name: &'static str,
}

impl Value {
    fn refused(&self, expected: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            name: self.name,
            value: format!("{:?}", self.text),
            expected: expected.into(),
        }
    }
}

impl Environment<'_> {
    /// The variable's value, else that of its fallback. An empty value counts as not set.
    pub(super) fn value(&self, variable: &Variable) -> Result<Option<Value>, ConfigError> {
        for name in [variable.name, variable.fallback] {
            if name.is_empty() {
                continue;
            }
            if let Some(text) = self.named(name)? {
                return Ok(Some(Value { text, name }));
            }
        }
        Ok(None)
    }

    /// The value of one variable by its name.
    pub(super) fn named(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.0(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let text = text.into_string();
        text.map(Some).map_err(|_| ConfigError::NotText { name })
    }

    pub(super) fn text_or(
        &self,
        variable: &Variable,
        default: impl FnOnce() -> String,
    ) -> Result<String, ConfigError> {
        let value = self.value(variable)?;
        Ok(value.map_or_else(default, |value| value.text))
    }

    /// A name that becomes a part of keys in Redis and in the store.
    pub(super) fn id_or(
        &self,
        variable: &Variable,
        default: impl FnOnce() -> String,
    ) -> Result<String, ConfigError> {
        let Some(value) = self.value(variable)? else {
            return Ok(default());
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if value.text.len() <= 64 && value.text.chars().all(plain) {
            return Ok(value.text);
        }
        Err(value.refused("at most 64 letters, digits and . _ -"))
    }

    pub(super) fn parsed_or<T: FromStr>(
        &self,
        variable: &Variable,
        expected: &str,
        default: T,
    ) -> Result<T, ConfigError> {
        let Some(value) = self.value(variable)? else {
            return Ok(default);
        };
        value.text.parse().map_err(|_| value.refused(expected))
    }

    pub(super) fn number(
        &self,
        variable: &Variable,
        least: u64,
        most: u64,
        default: u64,
    ) -> Result<u64, ConfigError> {
        let number = self.number_if_set(variable, least, most)?;
        Ok(number.unwrap_or(default))
    }

    pub(super) fn number_if_set(
        &self,
        variable: &Variable,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.value(variable)? else {
            return Ok(None);
        };
        let number = value.text.parse::<u64>().ok();
        match number.filter(|number| (least..=most).contains(number)) {
            None => Err(value.refused(format!("a whole number from {least} to {most}"))),
            number => Ok(number),
        }
    }

    /// One of several words, in upper or lower case; the first is the default.
    pub(super) fn one_of<T: Clone>(
        &self,
        variable: &Variable,
        words: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let Some(value) = self.value(variable)? else {
            return Ok(words[0].1.clone());
        };
        let asked = |(word, _): &&(&str, T)| word.eq_ignore_ascii_case(&value.text);
        let found = words.iter().find(asked).map(|(_, choice)| choice.clone());
        found.ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            value.refused(format!("one of {}", words.join(", ")))
        })
    }

    pub(super) fn redis_url(&self) -> Result<Secret, ConfigError> {
        let Some(value) = self.value(&REDIS_URL)? else {
            return Ok(Secret::new(REDIS_URL.default));
        };
        match Address::parse(&value.text) {
            Ok(_) => Ok(Secret::new(value.text)),
            // Not shown: any value may hold a password.
            Err(expected) => Err(ConfigError::Value {
                name: value.name,
                value: "***".to_owned(),
                expected: expected.to_owned(),
            }),
        }
    }

    /// The address of an S3 server other than AWS; `None` if none is set.
    pub(super) fn endpoint(&self) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.value(&S3_ENDPOINT)? else {
            return Ok(None);
        };
        let known = |scheme| value.text.starts_with(scheme);
        // Credentials are refused here, because errors of the store print the address.
        if (known("http://") || known("https://")) && !value.text.contains('@') {
            return Ok(Some(value.text));
        }
        Err(ConfigError::Value {
            name: value.name,
            value: "***".to_owned(),
            expected: "http://host:port or https://host:port, without credentials".to_owned(),
        })
    }
}

/// A value that no log, error or debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the code that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A variable that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The value is not one of those expected.
    #[error("{name} is {value}, expected {expected}")]
    Value {
        /// The variable that was set.
        name: &'static str,
        /// The value, quoted; stars in place of a secret.
        value: String,
        /// The values that are allowed.
        expected: String,
    },

    /// The value is no text.
    #[error("{name} is not valid UTF-8")]
    NotText {
        /// The variable that was set.
        name: &'static str,
    },
}
