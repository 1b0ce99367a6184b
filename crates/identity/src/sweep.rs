//! Removing what is over: sessions, and invitations that have long been answered.

use std::time::Duration;

use roost_store::{identity_invites, identity_sessions};
use roost_world::Stop;

use crate::{Error, Identity, sessions::LIFETIME};

/// How often.
const TICK: Duration = Duration::from_secs(10 * 60);

/// How long invitations are kept once their address is bound, in milliseconds: their keys have to be known as long as the
/// invited user's homeserver may still be on its way into the room.
const INVITES: u64 = 90 * 24 * 60 * 60 * 1000;

impl Identity {
    pub(crate) async fn sweep_regularly(self, mut stop: Stop) {
        loop {
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "what is over could not be removed");
            }
            tokio::select! {
                () = stop.wait() => return,
                () = self.0.world.clock.sleep(TICK) => {}
            }
        }
    }

    /// Removes what is over. A session stays for a day longer than it lasts, so that its client is told why it is of no use.
    pub async fn sweep(&self) -> Result<(), Error> {
        let now = self.0.world.now_ms();
        let write = self.0.store.write(move |tx| {
            identity_sessions::delete_old(tx, now.saturating_sub(2 * LIFETIME))?;
            identity_invites::delete_bound(tx, now.saturating_sub(INVITES))?;
            Ok(())
        });
        write.await
    }
}
