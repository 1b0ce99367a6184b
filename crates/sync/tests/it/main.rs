//! `/sync` over a real store and room engine, without HTTP.

mod house;
mod measure;
mod model;
mod waiting;
