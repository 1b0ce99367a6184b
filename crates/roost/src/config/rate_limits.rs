//! `[rate_limits]`

use super::schema::{RateSetting, section};

section! {
    /// How many requests of a kind one address or one user may make. "20/1m" allows 20 at once and fills the allowance
    /// up again within a minute; "off" sets no limit. Whoever exceeds it is told when to come back.
    RateLimits in "rate_limits" {
        /// Whether there are any limits.
        enabled: bool = true;
        /// Logging in, for each address.
        login_per_address: RateSetting = RateSetting::of(60, 60);
        /// Logging in, for each account that is tried.
        login_per_user: RateSetting = RateSetting::of(20, 60);
        /// Registering (which takes two requests) and asking for free names, for each address.
        registration_per_address: RateSetting = RateSetting::of(60, 300);
        /// Sending messages, state and redactions, for each address.
        sending_per_address: RateSetting = RateSetting::of(600, 30);
        /// Sending messages, state and redactions, for each user.
        sending_per_user: RateSetting = RateSetting::of(150, 15);
        /// Creating, joining, leaving and inviting to rooms, for each address.
        rooms_per_address: RateSetting = RateSetting::of(240, 60);
        /// Creating, joining, leaving and inviting to rooms, for each user.
        rooms_per_user: RateSetting = RateSetting::of(60, 60);
        /// Password changes, deactivation and searches, for each address.
        costly_per_address: RateSetting = RateSetting::of(120, 60);
        /// Password changes, deactivation and searches, for each user.
        costly_per_user: RateSetting = RateSetting::of(30, 60);
        /// Registering at the identity server, for each address.
        identity_registration_per_address: RateSetting = RateSetting::of(60, 300);
        /// Having the identity server send mails and SMS, for each address.
        identity_messages_per_address: RateSetting = RateSetting::of(60, 3600);
        /// Having the identity server send mails and SMS, for each user.
        identity_messages_per_user: RateSetting = RateSetting::of(30, 3600);
        /// Mails and SMS of the identity server, for each mail address and phone number that they go to.
        identity_messages_per_third_party_id: RateSetting = RateSetting::of(6, 3600);
        /// Returning tokens, binding and unbinding, for each address.
        identity_binding_per_address: RateSetting = RateSetting::of(240, 60);
        /// Returning tokens, binding and unbinding, for each user.
        identity_binding_per_user: RateSetting = RateSetting::of(60, 60);
        /// Lookups, for each address.
        identity_lookups_per_address: RateSetting = RateSetting::of(240, 60);
        /// Lookups, for each user.
        identity_lookups_per_user: RateSetting = RateSetting::of(60, 60);
        /// Addresses that are looked up, for each user: whoever wants to try them all needs many.
        identity_looked_up_per_user: RateSetting = RateSetting::of(20_000, 24 * 3600);
    }
}
