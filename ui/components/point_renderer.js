// Draws the points with WebGL2: one vertex each, between two frames, the colours in a texture, the camera in four
// numbers.

const VERTEX_SHADER = `#version 300 es
in vec2 place;
in float category;
in float chosen;
in vec2 nextPlace;
uniform float way;
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
  gl_Position = vec4(mix(place, nextPlace, way) * scale + shift, 0.0, 1.0);
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
    ["place", "category", "chosen", "nextPlace"].forEach((name, at) => gl.bindAttribLocation(this.program, at, name));
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS)) {
      throw new Error(gl.getProgramInfoLog(this.program) || "The point shader could not be linked.");
    }
    this.at = {};
    for (const name of ["way", "scale", "shift", "size", "opacity", "faint", "colors"]) {
      this.at[name] = gl.getUniformLocation(this.program, name);
    }
    this.array = gl.createVertexArray();
    this.categories = gl.createBuffer();
    this.chosen = gl.createBuffer();
    this.placed = [];
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
  load(frames, categories) {
    this.frames = frames;
    this.count = categories.length;
    this.slots = scatteredOrder(this.count);
    for (const buffer of this.placed) this.gl.deleteBuffer(buffer ?? null);
    this.placed = [];
    this.gl.bindVertexArray(this.array);
    this.fill(this.categories, categories);
    const wide = categories.BYTES_PER_ELEMENT === 2;
    this.read(1, this.categories, 1, wide ? this.gl.UNSIGNED_SHORT : this.gl.UNSIGNED_BYTE);
    this.choose(null);
    this.cost = undefined;
  }

  /** Values in the caller's order, to a buffer in the scattered one. */
  fill(buffer, values) {
    const { gl, slots } = this;
    const scattered = new values.constructor(this.count);
    for (let slot = 0; slot < this.count; slot += 1) scattered[slot] = values[slots[slot]];
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, scattered, gl.STATIC_DRAW);
  }

  /** Lets an attribute of the bound array read from a buffer. */
  read(at, buffer, size, kind, normalized = false) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, kind, normalized, 0, 0);
  }

  /** Lets an attribute read the places of a frame, which go to the device when they are first drawn. */
  readFrame(at, frame) {
    if (!this.placed[frame]) {
      this.placed[frame] = this.gl.createBuffer();
      const { buffer, byteOffset } = this.frames[frame];
      this.fill(this.placed[frame], new Uint32Array(buffer, byteOffset, this.count));
    }
    this.read(at, this.placed[frame], 2, this.gl.UNSIGNED_SHORT);
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
    this.fill(this.chosen, marks);
    this.read(2, this.chosen, 1, gl.UNSIGNED_BYTE);
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
   * One picture, `mix` of the way from one frame to the next. `scale` and `shift` lead from places to clip space;
   * `size` is in device pixels; at most `atMost` points are drawn.
   */
  draw({ from, to, mix, scale, shift, size, opacity, faint, atMost }) {
    const { gl } = this;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(this.program);
    gl.bindVertexArray(this.array);
    this.readFrame(0, from);
    if (mix > 0) this.readFrame(3, to);
    else gl.disableVertexAttribArray(3);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.uniform1f(this.at.way, mix);
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
    for (const buffer of [this.categories, this.chosen, ...(this.placed ?? [])]) gl.deleteBuffer(buffer ?? null);
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
