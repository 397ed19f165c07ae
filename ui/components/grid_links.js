// What a reader set by hand: kept when a page is left and opened again, and shared by the grids of a group.

const rememberedViews = new Map();
const linkedGrids = new Map();

/** Adds a grid to those with its group, or to a set of its own, and gives it their view. */
function joinGrids(grid) {
  const { key, group, scale } = grid.data;
  const name = group ? `group ${group}` : `key ${key}`;
  if (grid.linkedAs !== name) {
    partGrids(grid);
    grid.linkedAs = name;
    if (!linkedGrids.has(name)) linkedGrids.set(name, new Set());
    linkedGrids.get(name).add(grid);
    const fresh = { lift: 0, tile: null, palette: "", sort: BY_NUMBER, down: false, filters: {}, passed: {} };
    if (!rememberedViews.has(name)) rememberedViews.set(name, fresh);
    grid.view = rememberedViews.get(name);
  }
  // The page's word on the scale counts when it is a new one.
  if (grid.view.passed[key] !== scale) {
    grid.view.passed[key] = scale;
    grid.view.scale = scale;
  }
}

function partGrids(grid) {
  linkedGrids.get(grid.linkedAs)?.delete(grid);
}

/** All grids with this one's view, this one first. */
function gridsLinked(grid) {
  return [grid, ...[...linkedGrids.get(grid.linkedAs)].filter((other) => other !== grid && other.maps)];
}

/** Those of them with equally many channels. */
function twinsOf(grid) {
  return gridsLinked(grid).filter((other) => other.maps.channels === grid.maps.channels);
}

/** The grid whose order and filter this one shows. */
function leaderOf(grid) {
  const mounted = [...linkedGrids.get(grid.linkedAs)].filter((other) => twinsOf(grid).includes(other));
  return mounted.find((other) => other.data.leads) ?? grid;
}

/** The filter that counts for a grid: whether marked channels are shown, and the least number of the criterion. */
function filterOf(grid) {
  return (grid.view.filters[leaderOf(grid).data.key] ??= { only: "all", least: null });
}
