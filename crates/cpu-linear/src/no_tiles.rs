//! What a CPU of another make has of matrix units: none that are known here.

use crate::formats::{Sums, Terms, Unit};

/// Whether this CPU has tiles for bfloat16 and bytes.
pub fn is_supported() -> bool {
    false
}

/// There are none.
pub(crate) enum Tiles {}

impl Unit for Tiles {
    fn begin() -> Self {
        panic!("this CPU has no tiles");
    }

    fn bfloat16(&self, _: Terms<'_>, _: &mut Sums) {
        match *self {}
    }

    fn int8(&self, _: Terms<'_>, _: &mut Sums) {
        match *self {}
    }

    fn float32(&self, _: Terms<'_>, _: &mut Sums) {
        match *self {}
    }
}
