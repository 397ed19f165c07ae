// Which channels a grid shows, and in which order.
// A criterion is "number", "=title" for a statistic, or "~channel" for the similarity to a channel.

const BY_NUMBER = "number";

/** Cosine similarity of every channel's map to that of one: [channels]; NaN for maps of zeros. Infinite and NaN: 0. */
function similarities(maps, channel) {
  if (maps.similar?.channel === channel) return maps.similar.values;
  const places = maps.rows * maps.columns;
  const read = (of, into) => {
    const [low, step] = [maps.finite(of) ? maps.low[of] : 0, maps.finite(of) ? maps.step(of) : 0];
    for (let i = 0, at = of * places; i < places; i += 1, at += 1) {
      into[i] = maps.levels[at] === NOT_FINITE ? 0 : low + maps.levels[at] * step;
    }
  };
  const [wanted, other, values] = [places, places, maps.channels].map((count) => new Float64Array(count));
  read(channel, wanted);
  const length = Math.sqrt(wanted.reduce((sum, value) => sum + value * value, 0));
  for (let c = 0; c < maps.channels; c += 1) {
    read(c, other);
    let [product, squares] = [0, 0];
    for (let i = 0; i < places; i += 1) {
      product += wanted[i] * other[i];
      squares += other[i] * other[i];
    }
    values[c] = product / (length * Math.sqrt(squares));
  }
  maps.similar = { channel, values };
  return values;
}

function sortTitle(sort) {
  if (sort === BY_NUMBER) return "Channel number";
  return sort[0] === "=" ? sort.slice(1) : `Similarity to channel ${sort.slice(1)}`;
}

/** The numbers of a criterion, [channels]; null for the channel number and for what a layer does not have. */
function sortValues(maps, sort) {
  if (sort[0] === "=") return maps.statistics[maps.titles.indexOf(sort.slice(1))] ?? null;
  return sort[0] === "~" && Number(sort.slice(1)) < maps.channels ? similarities(maps, Number(sort.slice(1))) : null;
}

/** Least and greatest finite number; NaN where there is none. */
function reachOf(values) {
  const finite = values.filter(Number.isFinite);
  if (!finite.length) return [NaN, NaN];
  return [finite.reduce((a, b) => Math.min(a, b)), finite.reduce((a, b) => Math.max(a, b))];
}

/**
 * The channels that pass a filter ({only, least}) in the order of a view ({sort, down}), each one's place in that
 * order (-1: not shown), and the numbers sorted by. Equal numbers stay in the order of their channels; NaN comes last.
 */
function arrange(maps, { sort, down }, { only, least }) {
  const values = sortValues(maps, sort);
  const passes = (channel) => {
    const mark = maps.marks[channel];
    if ((only === "alive" && mark === DEAD) || (only === "marked" && !mark)) return false;
    return !values || least === null || values[channel] >= least;
  };
  const shown = Array.from(maps.marks.keys()).filter(passes);
  const sign = down ? -1 : 1;
  if (values) {
    const last = (channel) => Number(Number.isNaN(values[channel]));
    shown.sort((a, b) => last(a) - last(b) || sign * (values[a] - values[b]) || a - b);
  } else if (down && sort === BY_NUMBER) {
    shown.reverse();
  }
  const places = new Int32Array(maps.channels).fill(-1);
  shown.forEach((channel, place) => (places[channel] = place));
  return { channels: shown, places, values };
}
