//! Accounts: registering, logging in, changing a password, leaving for good.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use roost_matrix::ids::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use roost_store::{
    Membership, Read, RoomNo, UserNo, account_data, accounts, devices, filters, memberships, profiles,
    registration_tokens, sessions, users_no,
};
use roost_world::Stop;

pub use roost_store::accounts::Account;

use crate::{Error, MAX_PASSWORD_BYTES, Tokens, Users, sessions::NewTokens};

/// The longest device id and device name, in bytes.
const MAX_DEVICE_ID_BYTES: usize = 255;
const MAX_DEVICE_NAME_BYTES: usize = 1024;

/// How many rooms are left at the same time.
const ROOMS_AT_ONCE: usize = 32;

/// How long to wait before trying again to take a deactivated user out of their rooms.
const DEPARTURE_RETRY: Duration = Duration::from_secs(60);

/// An account to be.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Whose: from [`new_user_id`](crate::new_user_id).
    pub user_id: OwnedUserId,
    /// Its password; without one there is no login by password.
    pub password: Option<String>,
    /// Whether it administers the server.
    pub admin: bool,
    /// The display name to begin with.
    pub displayname: Option<String>,
    /// The registration token that pays for it; `None` when none is asked for.
    pub registration_token: Option<String>,
    /// The device to log in, if any.
    pub device: Option<NewDevice>,
}

impl NewAccount {
    /// An account that needs no token and is not logged in.
    #[must_use]
    pub fn new(user_id: OwnedUserId, password: Option<String>) -> Self {
        Self { user_id, password, admin: false, displayname: None, registration_token: None, device: None }
    }
}

/// A device that wants to log in.
#[derive(Clone, Debug, Default)]
pub struct NewDevice {
    /// The id that the client wants, of a new device or of one that it had before.
    pub device_id: Option<String>,
    /// The name for a new device.
    pub display_name: Option<String>,
    /// Whether the client can refresh tokens.
    pub refreshable: bool,
}

/// A device that has logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// Its tokens.
    pub tokens: Tokens,
}

/// A device and tokens that wait to be written.
struct Arrival {
    device_id: OwnedDeviceId,
    display_name: Option<String>,
    tokens: NewTokens,
    now: u64,
    max_devices: u64,
}

impl Arrival {
    fn write(&self, tx: &roost_store::Tx<'_>, user: UserNo) -> Result<(), roost_store::Error> {
        let device_id = self.device_id.as_str();
        if devices::get(tx, user, device_id)?.is_some() {
            // https://spec.matrix.org/v1.19/client-server-api/#relationship-between-access-tokens-and-devices
            sessions::revoke(tx, user, device_id)?;
        } else {
            let beyond = (devices::count(tx, user)? + 1).saturating_sub(self.max_devices);
            if beyond > 0 {
                // Not this login is refused: who has forgotten their old devices must still get in, and could delete
                // no device without.
                let unseen = devices::longest_unseen(tx, user, beyond)?;
                let unseen: Vec<&str> = unseen.iter().map(|device| device.as_str()).collect();
                devices::delete(tx, user, devices::Which::These(&unseen))?;
            }
            devices::insert(tx, user, device_id, self.display_name.as_deref(), self.now)?;
        }
        sessions::insert(tx, &self.tokens.row(user, device_id, None), self.now)
    }

    fn logged_in(&self) -> LoggedIn {
        LoggedIn { device_id: self.device_id.clone(), tokens: self.tokens.tokens.clone() }
    }
}

impl Users {
    /// The number of a user, if anybody of that id is known here.
    pub(crate) fn find(read: &Read<'_>, user_id: &UserId) -> Result<Option<UserNo>, roost_store::Error> {
        users_no::find(read, user_id)
    }

    /// The account of a user of this server.
    pub async fn account(&self, user_id: &UserId) -> Result<Option<Account>, Error> {
        let user_id = user_id.to_owned();
        let read = self.0.store.read(move |read| {
            Ok::<_, Error>(match Self::find(read, &user_id)? {
                Some(user) => accounts::get(read, user)?,
                None => None,
            })
        });
        read.await
    }

    /// Up to `limit` accounts in the order of their creation, after `after` (0: from the first).
    pub async fn accounts(&self, after: UserNo, limit: u32) -> Result<Vec<Account>, Error> {
        self.0.store.read(move |read| Ok(accounts::list(read, after, limit.into())?)).await
    }

    /// Whether the server has any account.
    pub async fn has_accounts(&self) -> Result<bool, Error> {
        self.0.store.read(move |read| Ok(accounts::any(read)?)).await
    }

    /// Refuses a user id that is taken, or once was.
    pub async fn check_free(&self, user_id: &UserId) -> Result<(), Error> {
        match self.account(user_id).await? {
            Some(_) => Err(Error::UserInUse),
            None => Ok(()),
        }
    }

    /// A localpart for somebody who named none.
    #[must_use]
    pub fn invent_username(&self) -> String {
        self.0.world.random_text(12).to_ascii_lowercase()
    }

    /// Makes an account, and logs in its first device if one is given: both or neither.
    pub async fn create(&self, new: NewAccount) -> Result<Option<LoggedIn>, Error> {
        let arrival = new.device.map(|device| self.arrival(device)).transpose()?;
        let displayname = new.displayname.as_deref().map(crate::profiles::checked_displayname).transpose()?.flatten();
        // Before the password is hashed, which costs more than a look.
        self.check_free(&new.user_id).await?;
        let password = match new.password {
            Some(password) => Some(self.hash(password).await?),
            None => None,
        };
        let user = self.0.store.user_no(&new.user_id).await?;
        let now = self.0.world.now_ms();
        let (token, admin) = (new.registration_token, new.admin);
        let write = self.0.store.write(move |tx| {
            if accounts::exists(tx, user)? {
                return Err(Error::UserInUse);
            }
            if let Some(token) = &token
                && !registration_tokens::spend(tx, token, now)?
            {
                return Err(Error::RegistrationToken);
            }
            accounts::insert(tx, user, password.as_deref(), admin, now)?;
            if let Some(displayname) = &displayname {
                profiles::set(tx, user, "displayname", displayname)?;
            }
            match &arrival {
                Some(arrival) => {
                    arrival.write(tx, user)?;
                    Ok(Some(arrival.logged_in()))
                }
                None => Ok(None),
            }
        });
        write.await
    }

    /// The user whose password this is. Takes as long for one who does not exist. A locked account opens to nobody, not even
    /// to whoever knows its password.
    pub async fn check_password(&self, user_id: Option<&UserId>, password: String) -> Result<UserNo, Error> {
        let account = match user_id {
            Some(user_id) => self.account(user_id).await?,
            None => None,
        };
        let (account, stored) = match account {
            Some(mut account) => {
                let stored = account.password.take();
                (Some(account), stored)
            }
            None => (None, None),
        };
        match (self.0.hasher.verify(password, stored).await?, account) {
            (true, Some(account)) if account.deactivated_at.is_some() => Err(Error::Deactivated),
            (true, Some(account)) if account.locked => Err(Error::Locked),
            (true, Some(account)) => Ok(account.user),
            _ => Err(Error::Credentials),
        }
    }

    /// Logs in a device of a user who has proved who they are. Earlier tokens of that device stop working.
    pub async fn log_in(&self, user: UserNo, device: NewDevice) -> Result<LoggedIn, Error> {
        let arrival = self.arrival(device)?;
        let write = self.0.store.write(move |tx| {
            let account = accounts::get(tx, user)?.ok_or(Error::Credentials)?;
            if account.deactivated_at.is_some() {
                return Err(Error::Deactivated);
            }
            if account.locked {
                return Err(Error::Locked);
            }
            arrival.write(tx, user)?;
            Ok(arrival.logged_in())
        });
        write.await
    }

    /// Changes a password. `keep`: the device that asked; `log_out_others`: whether the user's other devices go.
    pub async fn change_password(
        &self,
        user: UserNo,
        password: String,
        keep: Option<&DeviceId>,
        log_out_others: bool,
    ) -> Result<(), Error> {
        let password = self.hash(password).await?;
        let keep = keep.map(ToOwned::to_owned);
        let write = self.0.store.write(move |tx| {
            accounts::set_password(tx, user, &password)?;
            if log_out_others {
                let which = keep.as_ref().map_or(devices::Which::All, |kept| devices::Which::Others(kept.as_str()));
                devices::delete(tx, user, which)?;
            }
            Ok::<_, Error>(())
        });
        write.await
    }

    /// Locks an account, or unlocks it: its sessions stay, and can do nothing but log out meanwhile.
    ///
    /// <https://spec.matrix.org/v1.19/client-server-api/#account-locking>
    pub async fn lock(&self, user: UserNo, locked: bool) -> Result<(), Error> {
        self.0.store.write(move |tx| Ok::<_, Error>(accounts::lock(tx, user, locked)?)).await
    }

    /// Suspends an account, or lifts that: its user can read meanwhile, but not act.
    ///
    /// <https://spec.matrix.org/v1.19/client-server-api/#account-suspension>
    pub async fn suspend(&self, user: UserNo, suspended: bool) -> Result<(), Error> {
        self.0.store.write(move |tx| Ok::<_, Error>(accounts::suspend(tx, user, suspended)?)).await
    }

    /// Ends an account for good: its sessions and devices go at once, then its user leaves every room. The name stays
    /// taken. With `erase`, profile, account data and filters go, too.
    pub async fn deactivate(&self, user: UserNo, user_id: &UserId, erase: bool) -> Result<(), Error> {
        let now = self.0.world.now_ms();
        let write = self.0.store.write(move |tx| {
            if !accounts::deactivate(tx, user, now, erase)? {
                return Ok::<_, Error>(());
            }
            devices::delete(tx, user, devices::Which::All)?;
            if erase {
                profiles::delete_all(tx, user)?;
                account_data::delete_all(tx, user)?;
                filters::delete_all(tx, user)?;
            }
            Ok(())
        });
        write.await?;
        let (users, user_id) = (self.clone(), user_id.to_owned());
        // The client may go away meanwhile; the departure goes on.
        let departing = self.in_background("departure", async move { users.depart(user, &user_id).await });
        if let Some(Err(error)) = departing.await {
            tracing::warn!(%error, "a deactivated user could not leave every room yet");
        }
        Ok(())
    }

    /// Takes a deactivated user out of their rooms.
    async fn depart(&self, user: UserNo, user_id: &UserId) -> Result<(), Error> {
        self.leave_everywhere(user, user_id).await?;
        self.0.store.write(move |tx| Ok::<_, Error>(accounts::departed(tx, user)?)).await
    }

    /// Leaves the rooms that a user is in, and declines and takes back what is open.
    async fn leave_everywhere(&self, user: UserNo, user_id: &UserId) -> Result<(), Error> {
        let rooms = self.0.rooms.clone();
        let read = self.0.store.read(move |read| {
            let rows = memberships::of_user(read, user)?;
            let open = [Membership::Join, Membership::Invite, Membership::Knock];
            let open: Vec<RoomNo> =
                rows.iter().filter(|row| open.contains(&row.membership)).map(|row| row.room).collect();
            Ok::<_, Error>(rooms.rooms_in(read, &open)?.iter().map(|room| room.id.clone()).collect::<Vec<_>>())
        });
        let open = read.await?;
        let mut left = stream::iter(open)
            .map(|room| async move { self.0.rooms.leave(&room, user_id, None).await })
            .buffer_unordered(ROOMS_AT_ONCE);
        let mut failure = None;
        while let Some(result) = left.next().await {
            match result {
                // The rules of a room can forbid even that; trying again would not help.
                Ok(_) | Err(roost_rooms::Error::Forbidden(_) | roost_rooms::Error::UnknownRoom) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Finishes the departures that a crash or an error has interrupted.
    pub(crate) async fn finish_departures(self, mut stop: Stop) {
        loop {
            let departing = self.0.store.read(|read| Ok::<_, Error>(accounts::departing(read)?)).await;
            for (user, user_id) in departing.unwrap_or_default() {
                if stop.is_set() {
                    return;
                }
                if let Err(error) = self.depart(user, &user_id).await {
                    tracing::warn!(%error, %user_id, "a deactivated user could not leave every room yet");
                }
            }
            tokio::select! {
                () = stop.wait() => return,
                () = self.0.world.clock.sleep(DEPARTURE_RETRY) => {}
            }
        }
    }

    /// Runs `work` to its end even when nobody waits for it any more; `None` when it was cut short.
    pub(crate) async fn in_background<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let run = async move {
            // A receiver that has gone away no longer wants the answer.
            drop(sender.send(work.await));
        };
        self.0.world.executor.spawn(name, Box::pin(run));
        receiver.await.ok()
    }

    async fn hash(&self, password: String) -> Result<String, Error> {
        check_new_password(&password)?;
        self.0.hasher.hash(password).await
    }

    fn arrival(&self, device: NewDevice) -> Result<Arc<Arrival>, Error> {
        let device_id = device.device_id.unwrap_or_else(|| self.0.world.random_text(10).to_ascii_uppercase());
        if device_id.is_empty() || device_id.len() > MAX_DEVICE_ID_BYTES {
            return Err(Error::InvalidDeviceId);
        }
        check_device_name(device.display_name.as_deref())?;
        Ok(Arc::new(Arrival {
            device_id: device_id.into(),
            display_name: device.display_name.filter(|name| !name.is_empty()),
            tokens: self.sessions().new_tokens(device.refreshable),
            now: self.0.world.now_ms(),
            max_devices: self.0.max_devices,
        }))
    }
}

/// Refuses what can not become a password.
pub fn check_new_password(password: &str) -> Result<(), Error> {
    if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
        return Err(Error::UnfitPassword);
    }
    Ok(())
}

/// Refuses a device name that is too long.
pub(crate) fn check_device_name(name: Option<&str>) -> Result<(), Error> {
    if name.is_some_and(|name| name.len() > MAX_DEVICE_NAME_BYTES) {
        return Err(Error::DeviceName);
    }
    Ok(())
}
