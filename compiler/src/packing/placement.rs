//! Layouts with the regular structure that later layers build on.

use hecc_ir::layout::{Layout, Position, Shape};
use std::fmt;

/// A layout, and the pixel grid behind it when it is an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Where each element sits.
    pub layout: Layout,
    /// Present when elements are pixels of channels on a common grid.
    pub grid: Option<Grid>,
}

/// Image packing: every channel is dealt to `phases`, each phase is a plane of `base` pixels that is
/// used at multiples of `stride`, and further channels fill the gaps.
///
/// With one phase this is multiplexed single-image packing. With more, neighbouring pixels sit in
/// different planes, perhaps in different ciphertexts: the interleaved tiles of tile tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Rows and columns of a plane before any stride.
    pub base: [usize; 2],
    /// Pixel `(y, x)` is in phase `(y % phases[0], x % phases[1])`.
    pub phases: [usize; 2],
    /// Distance between neighbouring pixels of a phase, in base rows and columns; 1 along an axis of several
    /// phases.
    pub stride: [usize; 2],
    /// Slots reserved for one plane.
    pub block: usize,
    /// Which images sit side by side.
    pub order: FillOrder,
}

/// A kind of layout for images, to be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Channels side by side and in each other's gaps, one ciphertext after the other.
    Multiplexed,
    /// Neighbouring channels in different ciphertexts, so that channels which a group of a convolution sums
    /// share slots.
    Interleaved,
    /// Neighbouring pixels in different planes, perhaps of different ciphertexts.
    Tiles,
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 3] = [Family::Multiplexed, Family::Interleaved, Family::Tiles];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Multiplexed => "multiplexed",
            Family::Interleaved => "interleaved",
            Family::Tiles => "tiles",
        })
    }
}

/// In which order the images of channels and phases take the free sites of a grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FillOrder {
    /// Neighbouring images go to different ciphertexts, else to one as long as it has sites.
    pub interleaved: bool,
    /// Within a ciphertext they go to different gaps of one plane first, else to different planes.
    pub gaps_first: bool,
    /// Neighbours are the phases of one channel, else the channels of one phase.
    pub phases_first: bool,
}

impl FillOrder {
    /// Every order.
    pub fn all() -> impl Iterator<Item = FillOrder> {
        (0..8u8).map(|bits| FillOrder {
            phases_first: bits & 4 != 0,
            interleaved: bits & 2 != 0,
            gaps_first: bits & 1 != 0,
        })
    }
}

/// The sites of some ciphertexts.
#[derive(Clone, Copy)]
struct Sites {
    n_cts: usize,
    n_planes: usize,
    n_gaps: usize,
}

impl Sites {
    /// Ciphertext, plane and gap of an image.
    fn of(&self, image: usize, order: FillOrder) -> (usize, usize, usize) {
        let per_ct = self.n_planes * self.n_gaps;
        let (ct, site) = match order.interleaved {
            true => (image % self.n_cts, image / self.n_cts),
            false => (image / per_ct, image % per_ct),
        };
        match order.gaps_first {
            true => (ct, site / self.n_gaps, site % self.n_gaps),
            false => (ct, site % self.n_planes, site / self.n_planes),
        }
    }
}

impl Grid {
    /// A grid of whole images on planes of `base` pixels.
    pub fn new(base: [usize; 2], phases: [usize; 2]) -> Grid {
        let block = (base[0] * base[1]).next_power_of_two();
        Grid { base, phases, stride: [1, 1], block, order: FillOrder::default() }
    }

    /// Slots between vertically and horizontally neighbouring pixels of a phase.
    pub fn pitch(&self) -> [usize; 2] {
        [self.stride[0] * self.base[1], self.stride[1]]
    }

    /// Phases of a channel.
    pub fn n_phases(&self) -> usize {
        self.phases[0] * self.phases[1]
    }

    /// Grid of a map's result whose window moves by `stride` pixels: phases become fewer
    /// before pixels move apart. `None` when it is no multiple of the phases nor they of it.
    pub fn strided(&self, stride: [usize; 2]) -> Option<Grid> {
        let mut grid = *self;
        for axis in [0, 1] {
            let (phases, step) = (self.phases[axis], stride[axis].max(1));
            if phases % step == 0 {
                grid.phases[axis] = phases / step;
            } else if step % phases == 0 {
                grid.phases[axis] = 1;
                // Beyond the plane there is a single pixel, however far the next one would be.
                grid.stride[axis] =
                    grid.stride[axis].saturating_mul(step / phases).min(self.base[axis].max(1));
            } else {
                return None;
            }
        }
        Some(grid)
    }

    /// The grid with every order of a family that makes a difference to `channels` channels, when
    /// `period` slots of each ciphertext are in use.
    pub fn orders(
        self,
        channels: usize,
        period: usize,
        family: Option<Family>,
    ) -> impl Iterator<Item = Grid> {
        let (n_planes, n_gaps) = (period / self.block, self.stride[0] * self.stride[1]);
        let n_images = channels * self.n_phases();
        let several_cts = n_images > n_planes * n_gaps;
        let fits = move |order: &FillOrder| {
            let interleaved = match family {
                None | Some(Family::Tiles) => several_cts || !order.interleaved,
                Some(Family::Multiplexed) => !order.interleaved,
                Some(Family::Interleaved) => order.interleaved == several_cts,
            };
            interleaved
                && (!order.phases_first || channels > 1 && self.n_phases() > 1)
                && (!order.gaps_first || n_planes > 1 && n_gaps > 1)
        };
        FillOrder::all().filter(fits).map(move |order| Grid { order, ..self })
    }

    /// Places `[channels, height, width]` on the grid, with `period` slots of
    /// each ciphertext in use. `None` when the image does not fit the planes.
    pub fn place(&self, shape: &Shape, n_slots: usize, period: usize) -> Option<Placement> {
        let &[channels, height, width] = shape.0.as_slice() else { return None };
        let [rows, cols] = [height.div_ceil(self.phases[0]), width.div_ceil(self.phases[1])];
        let fits = (rows - 1) * self.stride[0] < self.base[0] && (cols - 1) * self.stride[1] < self.base[1];
        let gaps_fit = rows * self.stride[0] <= self.base[0] && cols * self.stride[1] <= self.base[1];
        let n_gaps = self.stride[0] * self.stride[1];
        // Phases that no pixel is in take no plane.
        let phases = [self.phases[0].min(height), self.phases[1].min(width)];
        let n_phases = phases[0] * phases[1];
        let (n_images, n_planes) = (channels * n_phases, period / self.block);
        let uses_gaps = n_gaps > 1 && (n_images > n_planes || self.order.gaps_first && n_images > 1);
        if !fits || (!gaps_fit && uses_gaps) {
            return None;
        }
        let sites = Sites { n_cts: n_images.div_ceil(n_planes * n_gaps), n_planes, n_gaps };
        let place = |channel: usize, y: usize, x: usize| {
            let phase = y % self.phases[0] * phases[1] + x % self.phases[1];
            let image = match self.order.phases_first {
                true => channel * n_phases + phase,
                false => phase * channels + channel,
            };
            let (ct, plane, gap) = sites.of(image, self.order);
            let row = y / self.phases[0] * self.stride[0] + gap / self.stride[1];
            let col = x / self.phases[1] * self.stride[1] + gap % self.stride[1];
            Position { ct: ct as u32, slot: (plane * self.block + row * self.base[1] + col) as u32 }
        };
        let pixels =
            (0..channels * height * width).map(|i| (i / (height * width), i / width % height, i % width));
        let home: Vec<Position> = pixels.map(|(channel, y, x)| place(channel, y, x)).collect();
        let layout = Layout {
            n_slots,
            n_cts: sites.n_cts,
            shape: shape.clone(),
            home,
            replicas: Vec::new(),
            dirty: false,
        };
        Some(Placement { layout, grid: Some(*self) })
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Grid { base: [rows, cols], phases, stride, order, .. } = self;
        write!(f, "planes of {rows}x{cols}")?;
        if *stride != [1, 1] {
            write!(f, ", pixels {}x{} apart", stride[0], stride[1])?;
        }
        if *phases != [1, 1] {
            write!(f, ", {}x{} phases", phases[0], phases[1])?;
        }
        let words = [
            (order.phases_first, "phases first"),
            (order.interleaved, "interleaved"),
            (order.gaps_first, "gaps first"),
        ];
        words.iter().filter(|(is_so, _)| *is_so).try_for_each(|(_, word)| write!(f, ", {word}"))
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layout.n_cts {
            1 => write!(f, "1 ciphertext, ")?,
            n => write!(f, "{n} ciphertexts, ")?,
        }
        match &self.grid {
            Some(grid) => write!(f, "{grid}")?,
            None => write!(f, "a vector")?,
        }
        match self.layout.replicas.len() {
            0 => Ok(()),
            n => write!(f, ", {} copies", n + 1),
        }
    }
}

impl Placement {
    /// Elements in order from slot zero.
    pub fn contiguous(shape: &Shape, n_slots: usize) -> Placement {
        Placement { layout: Layout::contiguous(shape.clone(), n_slots), grid: None }
    }

    /// The same elements again at multiples of `distance`, `copies` in all.
    pub fn replicated(mut self, distance: usize, copies: usize) -> Placement {
        self.layout.replicas = (1..copies).map(|k| (k * distance) as u32).collect();
        self
    }

    /// The same slots read as a tensor of another shape, whose neighbours are
    /// no longer neighbours on the grid.
    pub fn reshaped(&self, shape: &Shape) -> Placement {
        let mut placement = self.clone();
        if placement.layout.shape != *shape {
            placement.layout.shape = shape.clone();
            placement.grid = None;
        }
        placement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More phases than pixels leave none of them empty.
    #[test]
    fn phases_without_pixels_take_no_ciphertext() {
        let grid = Grid::new([1, 1], [16, 16]);
        let placed = grid.place(&Shape(vec![2, 9, 5]), 1, 1).expect("a pixel has room in a slot");
        assert_eq!(placed.layout.n_cts, 2 * 9 * 5);
        let places: std::collections::BTreeSet<u32> = placed.layout.home.iter().map(|at| at.ct).collect();
        assert_eq!(places.len(), 2 * 9 * 5);
    }
}
