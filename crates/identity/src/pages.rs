//! The pages that a reader of a mail sees.

use std::borrow::Cow;

use crate::Identity;

impl Identity {
    /// The page that says that an address is proved.
    #[must_use]
    pub fn confirmed_page(&self) -> String {
        self.0.options.texts.confirmed.fill(&[])
    }

    /// The page that says that it did not work, and why.
    #[must_use]
    pub fn refused_page(&self, reason: &str) -> String {
        self.0.options.texts.refused.fill(&[("reason", Some(Cow::Borrowed(reason)))])
    }
}
