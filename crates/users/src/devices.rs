//! Devices: a user's list of them.

use roost_matrix::ids::DeviceId;
use roost_store::{UserNo, devices};

pub use roost_store::devices::Device;

use crate::{Error, Users, accounts::check_device_name};

impl Users {
    /// The devices of a user, by their ids.
    pub async fn devices(&self, user: UserNo) -> Result<Vec<Device>, Error> {
        let mut list = self.0.store.read(move |read| Ok::<_, Error>(devices::list(read, user)?)).await?;
        self.add_sightings(user, &mut list);
        Ok(list)
    }

    /// One device of a user.
    pub async fn device(&self, user: UserNo, device_id: &DeviceId) -> Result<Option<Device>, Error> {
        let device_id = device_id.to_owned();
        let device =
            self.0.store.read(move |read| Ok::<_, Error>(devices::get(read, user, device_id.as_str())?)).await?;
        let mut list: Vec<_> = device.into_iter().collect();
        self.add_sightings(user, &mut list);
        Ok(list.pop())
    }

    /// Renames a device.
    pub async fn rename_device(&self, user: UserNo, device_id: &DeviceId, name: String) -> Result<(), Error> {
        check_device_name(Some(&name))?;
        let device_id = device_id.to_owned();
        let write = self.0.store.write(move |tx| {
            if devices::rename(tx, user, device_id.as_str(), &name)? { Ok(()) } else { Err(Error::UnknownDevice) }
        });
        write.await
    }

    /// Removes devices and ends their sessions; unknown ids are passed over.
    pub async fn delete_devices(&self, user: UserNo, device_ids: Vec<String>) -> Result<(), Error> {
        let write = self.0.store.write(move |tx| {
            let ids: Vec<&str> = device_ids.iter().map(String::as_str).collect();
            Ok::<_, Error>(devices::delete(tx, user, devices::Which::These(&ids))?)
        });
        write.await
    }

    /// What has been noted since the rows were last written.
    fn add_sightings(&self, user: UserNo, list: &mut [Device]) {
        for (device_id, seen) in self.sessions().last_seen().of_user(user) {
            if let Some(device) = list.iter_mut().find(|device| device.device_id == device_id) {
                device.last_seen_at = Some(seen.at);
                device.last_seen_ip = seen.ip.map(|ip| ip.to_string());
            }
        }
    }
}
