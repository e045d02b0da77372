//! The micro-kernel on tiles for other architectures, which have no tiles: no value of it exists.

use crate::kernel::{MatrixUnit, Panels, Sums};

/// Tiles of a CPU that has none: a type without a value.
pub(crate) enum Tiles {}

impl MatrixUnit for Tiles {
    fn configure() -> Self {
        panic!("this CPU has no tiles");
    }

    fn bfloat16(&self, _: Panels<'_>, _: &mut Sums) {
        match *self {}
    }

    fn int8(&self, _: Panels<'_>, _: &mut Sums) {
        match *self {}
    }

    fn float32(&self, _: Panels<'_>, _: &mut Sums) {
        match *self {}
    }
}
