// Draws the points with WebGL2: one vertex each, the colours in a texture, the camera in four numbers.

const VERTEX_SHADER = `#version 300 es
in vec2 place;
in float category;
in float chosen;
uniform vec2 scale;
uniform vec2 shift;
uniform float size;
uniform float opacity;
uniform float faint;
uniform sampler2D colors;
out vec4 color;
void main() {
  int index = int(category + 0.5);
  vec4 own = texelFetch(colors, ivec2(index & 255, index >> 8), 0);
  if (own.a < 0.5) {
    gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
    gl_PointSize = 0.0;
    return;
  }
  gl_Position = vec4(place * scale + shift, 0.0, 1.0);
  gl_PointSize = size;
  color = vec4(own.rgb, opacity * mix(faint, 1.0, chosen));
}`;

const FRAGMENT_SHADER = `#version 300 es
precision highp float;
in vec4 color;
uniform float size;
out vec4 pixel;
void main() {
  float edge = 2.0 / size;
  float distance = length(gl_PointCoord * 2.0 - 1.0);
  float alpha = color.a * (1.0 - smoothstep(1.0 - edge, 1.0, distance));
  pixel = vec4(color.rgb * alpha, alpha);
}`;

const COLOR_SIDE = 256;

class PointRenderer {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: false, depth: false, alpha: true, premultipliedAlpha: true });
  }

  get works() {
    return Boolean(this.gl) && !this.gl.isContextLost();
  }

  /** Programs, buffers and texture; again after the browser took the context away and gave it back. */
  prepare() {
    const { gl } = this;
    const shader = (kind, text) => {
      const made = gl.createShader(kind);
      gl.shaderSource(made, text);
      gl.compileShader(made);
      return made;
    };
    this.shaders = [shader(gl.VERTEX_SHADER, VERTEX_SHADER), shader(gl.FRAGMENT_SHADER, FRAGMENT_SHADER)];
    this.program = gl.createProgram();
    for (const made of this.shaders) gl.attachShader(this.program, made);
    ["place", "category", "chosen"].forEach((name, at) => gl.bindAttribLocation(this.program, at, name));
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS)) {
      throw new Error(gl.getProgramInfoLog(this.program) || "The point shader could not be linked.");
    }
    this.at = {};
    for (const name of ["scale", "shift", "size", "opacity", "faint", "colors"]) {
      this.at[name] = gl.getUniformLocation(this.program, name);
    }
    this.array = gl.createVertexArray();
    this.buffers = [gl.createBuffer(), gl.createBuffer(), gl.createBuffer()];
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /**
   * Points go to the device in a scattered order: no category lies on top because it comes last, and the first k of
   * them are a fair sample for the time while the map moves.
   */
  load(places, categories) {
    const { gl } = this;
    const count = categories.length;
    this.count = count;
    this.slots = scatteredOrder(count);
    const scatteredPlaces = new Uint32Array(count);
    const pairs = new Uint32Array(places.buffer, places.byteOffset, count);
    const scatteredCategories = new categories.constructor(count);
    for (let slot = 0; slot < count; slot += 1) {
      const i = this.slots[slot];
      scatteredPlaces[slot] = pairs[i];
      scatteredCategories[slot] = categories[i];
    }
    const wide = categories.BYTES_PER_ELEMENT === 2;
    gl.bindVertexArray(this.array);
    const attribute = (at, data, size, kind) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[at]);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, size, kind, false, 0, 0);
    };
    attribute(0, scatteredPlaces, 2, gl.UNSIGNED_SHORT);
    attribute(1, scatteredCategories, 1, wide ? gl.UNSIGNED_SHORT : gl.UNSIGNED_BYTE);
    gl.disableVertexAttribArray(2);
    gl.vertexAttrib1f(2, 1);
    this.cost = undefined;
  }

  /** Marks points as chosen: one byte each in the caller's order; null for no choice. */
  choose(marks) {
    const { gl } = this;
    gl.bindVertexArray(this.array);
    if (!marks) {
      gl.disableVertexAttribArray(2);
      gl.vertexAttrib1f(2, 1);
      return;
    }
    const scattered = new Uint8Array(this.count);
    for (let slot = 0; slot < this.count; slot += 1) scattered[slot] = marks[this.slots[slot]];
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[2]);
    gl.bufferData(gl.ARRAY_BUFFER, scattered, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(2);
    gl.vertexAttribPointer(2, 1, gl.UNSIGNED_BYTE, false, 0, 0);
  }

  /** Colours "#rrggbb" by category; those not shown are left out of the picture. */
  setColors(colors, shown) {
    const { gl } = this;
    const bytes = new Uint8Array(COLOR_SIDE * COLOR_SIDE * 4);
    colors.forEach((color, i) => {
      const number = parseInt(color.slice(1), 16);
      bytes.set([number >> 16, (number >> 8) & 255, number & 255, shown[i] ? 255 : 0], 4 * i);
    });
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, COLOR_SIDE, COLOR_SIDE, 0, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
  }

  /**
   * One picture. `scale` and `shift` lead from places to clip space; `size` is in device pixels; at most `atMost`
   * points are drawn.
   */
  draw({ scale, shift, size, opacity, faint, atMost }) {
    const { gl } = this;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(this.program);
    gl.bindVertexArray(this.array);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.uniform2f(this.at.scale, ...scale);
    gl.uniform2f(this.at.shift, ...shift);
    gl.uniform1f(this.at.size, size);
    gl.uniform1f(this.at.opacity, opacity);
    gl.uniform1f(this.at.faint, faint);
    gl.uniform1i(this.at.colors, 0);
    const started = performance.now();
    gl.drawArrays(gl.POINTS, 0, Math.min(this.count, atMost));
    if (this.cost === undefined && this.count) {
      // Reading one pixel waits for the device: the first picture tells what all points cost here.
      gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
      this.cost = performance.now() - started;
    }
  }

  release() {
    const { gl } = this;
    if (!gl) return;
    for (const buffer of this.buffers ?? []) gl.deleteBuffer(buffer);
    for (const shader of this.shaders ?? []) gl.deleteShader(shader);
    gl.deleteTexture(this.texture ?? null);
    gl.deleteVertexArray(this.array ?? null);
    gl.deleteProgram(this.program ?? null);
    gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** A fixed permutation of 0..count-1 that spreads neighbours apart. */
function scatteredOrder(count) {
  const order = new Uint32Array(count);
  const divisor = (a, b) => (b ? divisor(b, a % b) : a);
  let stride = Math.max(1, Math.floor(count * 0.6180339887));
  while (divisor(stride, count) !== 1 && stride > 1) stride -= 1;
  for (let slot = 0, i = 0; slot < count; slot += 1, i = (i + stride) % count) order[slot] = i;
  return order;
}
