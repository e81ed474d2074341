//! Layouts with the regular structure that later layers build on.

use hecc_ir::layout::{Layout, Position, Shape};

/// A layout, and the pixel grid behind it when it is an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// Where each element sits.
    pub layout: Layout,
    /// Present when elements are pixels of channels on a common grid.
    pub grid: Option<Grid>,
}

/// Multiplexed single-image packing: every channel is a plane of `base` pixels,
/// used at multiples of `stride`; other channels fill the gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Rows and columns of a plane before any stride.
    pub base: [usize; 2],
    /// Distance between neighbouring pixels, in base rows and columns.
    pub stride: [usize; 2],
    /// Slots reserved for one plane.
    pub block: usize,
}

/// In which order channels take the free sites of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillOrder {
    /// Neighbouring channels go to different planes.
    PlanesFirst,
    /// Neighbouring channels go to different gaps of one plane.
    GapsFirst,
}

impl Grid {
    /// Slots between vertically and horizontally neighbouring pixels.
    pub fn pitch(&self) -> [usize; 2] {
        [self.stride[0] * self.base[1], self.stride[1]]
    }

    /// Grid of a map's result whose window moves by `stride` pixels.
    pub fn strided(&self, stride: [usize; 2]) -> Grid {
        Grid { stride: [self.stride[0] * stride[0], self.stride[1] * stride[1]], ..*self }
    }

    /// Where channels go when each ciphertext offers `n_planes` planes:
    /// the slot of each channel's first pixel and its ciphertext.
    fn site(&self, channel: usize, n_planes: usize, order: FillOrder) -> (usize, usize) {
        let n_gaps = self.stride[0] * self.stride[1];
        let (ct, site) = (channel / (n_planes * n_gaps), channel % (n_planes * n_gaps));
        let (plane, gap) = match order {
            FillOrder::PlanesFirst => (site % n_planes, site / n_planes),
            FillOrder::GapsFirst => (site / n_gaps, site % n_gaps),
        };
        let in_plane = gap / self.stride[1] * self.base[1] + gap % self.stride[1];
        (ct, plane * self.block + in_plane)
    }

    /// Places `[channels, height, width]` on the grid, with `period` slots of
    /// each ciphertext in use. `None` when the image does not fit the planes.
    pub fn place(&self, shape: &Shape, n_slots: usize, period: usize, order: FillOrder) -> Option<Placement> {
        let &[channels, height, width] = shape.0.as_slice() else { return None };
        let fits =
            (height - 1) * self.stride[0] < self.base[0] && (width - 1) * self.stride[1] < self.base[1];
        let gaps_fit = height * self.stride[0] <= self.base[0] && width * self.stride[1] <= self.base[1];
        let n_gaps = self.stride[0] * self.stride[1];
        if !fits || (!gaps_fit && channels.div_ceil(period / self.block) > 1 && n_gaps > 1) {
            return None;
        }
        let [row, col] = self.pitch();
        let mut home = Vec::with_capacity(shape.n_elements());
        for channel in 0..channels {
            let (ct, first) = self.site(channel, period / self.block, order);
            for pixel in 0..height * width {
                let slot = first + pixel / width * row + pixel % width * col;
                home.push(Position { ct: ct as u32, slot: slot as u32 });
            }
        }
        let n_cts = home.iter().map(|p| p.ct as usize + 1).max()?;
        let layout =
            Layout { n_slots, n_cts, shape: shape.clone(), home, replicas: Vec::new(), dirty: false };
        Some(Placement { layout, grid: Some(*self) })
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
