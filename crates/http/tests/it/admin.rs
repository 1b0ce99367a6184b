//! `/_synapse/admin`

mod register;
