// Where the tiles of a grid lie.

const SMALLEST_TILE = 34;
const LARGEST_TILE = 112;
const SCROLLED_TILE = 48;
const GAP = 4;
const MARGIN = 4;

const tilesAcross = (width, side) => Math.max(1, Math.floor((width - 2 * MARGIN + GAP) / (side + GAP)));
const tileHigh = ({ rows, columns }, side) => Math.max(4, Math.round((side * rows) / columns));

/** Side of the largest tiles of which all fit into the room; of smaller ones to be scrolled if none do. */
function fittingTile(maps, width, room) {
  const fits = (side) => {
    const lines = Math.ceil(maps.channels / tilesAcross(width, side));
    return lines * (tileHigh(maps, side) + GAP) + 2 * MARGIN <= room;
  };
  let side = LARGEST_TILE;
  while (side > SMALLEST_TILE && !fits(side)) side -= 1;
  if (!fits(side)) side = SCROLLED_TILE;
  // Whole multiples of the map keep its places equally wide.
  const multiple = Math.floor(side / maps.columns) * maps.columns;
  return multiple >= SMALLEST_TILE && multiple >= side * 0.8 ? multiple : side;
}

class GridLayout {
  /** `shown` of the channels in tiles of a side, in a frame so wide and at most `room` high. */
  constructor(maps, shown, side, width, room) {
    this.shown = shown;
    this.side = side;
    this.high = tileHigh(maps, side);
    this.across = tilesAcross(width, side);
    // A layer that fills several rows uses the whole width.
    const spread = (width - 2 * MARGIN + GAP) / this.across;
    this.pitchX = maps.channels > this.across ? spread : side + GAP;
    this.pitchY = this.high + GAP;
    this.total = Math.ceil(shown / this.across) * this.pitchY - GAP + 2 * MARGIN;
    this.visible = Math.min(this.total, room);
  }

  /** Upper left corner of the tile at a place, in pixels of the whole sheet. */
  corner(place) {
    const line = Math.floor(place / this.across);
    return [MARGIN + (place % this.across) * this.pitchX, MARGIN + line * this.pitchY];
  }

  /** First place and the one after the last that are seen between two heights of the sheet. */
  between(top, bottom) {
    const first = Math.max(0, Math.floor((top - MARGIN) / this.pitchY) * this.across);
    return [first, Math.min(this.shown, Math.ceil(bottom / this.pitchY + 1) * this.across)];
  }

  /** The place at a point of the sheet and how far across and down its tile the point is, 0..1; null beside them. */
  at(left, top) {
    const [x, y] = [left - MARGIN, top - MARGIN];
    const [column, line] = [Math.floor(x / this.pitchX), Math.floor(y / this.pitchY)];
    const place = line * this.across + column;
    const inside = x >= 0 && y >= 0 && column < this.across && x - column * this.pitchX < this.side + GAP / 2;
    if (!inside || place >= this.shown) return null;
    const within = (distance, side) => Math.min(Math.max(distance / side, 0), 0.9999);
    const right = within(x - column * this.pitchX, this.side);
    return { place, right, down: within(y - line * this.pitchY, this.high) };
  }
}
