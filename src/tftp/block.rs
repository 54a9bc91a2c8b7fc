//! Block numbers (RFC 1350 section 5): 16 bits on the wire, and files of more blocks than that.

/// The number of a block on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BlockNumber(pub u16);

/// What follows block 65,535. No RFC says; most clients count on from 0, some from 1.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Rollover {
    /// 65,534, 65,535, 0, 1.
    #[default]
    ToZero,
    /// 65,534, 65,535, 1, 2; then 0 stands for nothing but the answer to the request.
    ToOne,
}

impl Rollover {
    /// The number of a block by its position in the file; the first is at 1, and 0 is the answer to the request.
    pub fn number(self, position: u64) -> BlockNumber {
        BlockNumber(match self {
            Self::ToZero => low_bits(position),
            Self::ToOne if position == 0 => 0,
            Self::ToOne => low_bits((position - 1) % 65_535 + 1),
        })
    }

    /// How many blocks after `position` the next one with this number stands; 0 if that is the block itself.
    pub fn distance(self, position: u64, number: BlockNumber) -> Option<u64> {
        let at = self.number(position).0;
        match self {
            Self::ToZero => Some(number.0.wrapping_sub(at).into()),
            Self::ToOne if number.0 == 0 => (position == 0).then_some(0),
            Self::ToOne if number.0 >= at => Some((number.0 - at).into()),
            Self::ToOne => Some(u64::from(number.0) + 65_535 - u64::from(at)),
        }
    }
}

fn low_bits(position: u64) -> u16 {
    u16::try_from(position & 0xffff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::BlockNumber;
    use super::Rollover;

    #[test]
    fn numbers_roll_over() {
        for (position, to_zero, to_one) in [
            (0, 0, 0),
            (1, 1, 1),
            (65_535, 65_535, 65_535),
            (65_536, 0, 1),
            (65_537, 1, 2),
            (131_070, 65_534, 65_535),
            (131_071, 65_535, 1),
            (131_072, 0, 2),
        ] {
            assert_eq!(Rollover::ToZero.number(position), BlockNumber(to_zero));
            assert_eq!(Rollover::ToOne.number(position), BlockNumber(to_one));
        }
    }

    #[test]
    fn distances_undo_numbers() {
        for rollover in [Rollover::ToZero, Rollover::ToOne] {
            for position in [0, 1, 2, 65_534, 65_535, 65_536, 131_070, 131_071] {
                for ahead in [0, 1, 63, 65_534] {
                    let number = rollover.number(position + ahead);
                    let distance = rollover.distance(position, number);
                    assert_eq!(distance, Some(ahead), "{rollover:?} {position} {ahead}");
                }
            }
        }
        assert_eq!(Rollover::ToOne.distance(7, BlockNumber(0)), None);
    }
}
