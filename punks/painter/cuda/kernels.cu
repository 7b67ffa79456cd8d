// What stands between the products and convolutions of a U-Net and a VAE decoder. Tensors are fp16 and channels last,
// channels come in vectors of eight (16 bytes). Sums are made in one order, whatever else runs: the same bits always.

struct Eight {
  float of[8];
};

__device__ Eight unpacked(uint4 raw) {
  const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
  Eight values;
#pragma unroll
  for (int i = 0; i < 4; i++)
    asm("{.reg .b16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high;}"
        : "=f"(values.of[2 * i]), "=f"(values.of[2 * i + 1])
        : "r"(words[i]));
  return values;
}

__device__ Eight read(const uint4 *from) { return unpacked(*from); }

__device__ void write(uint4 *to, const Eight &values) {
  unsigned words[4];
#pragma unroll
  for (int i = 0; i < 4; i++)
    asm("{.reg .b16 low, high; cvt.rn.f16.f32 low, %1; cvt.rn.f16.f32 high, %2; mov.b32 %0, {low, high};}"
        : "=r"(words[i])
        : "f"(values.of[2 * i]), "f"(values.of[2 * i + 1]));
  *to = make_uint4(words[0], words[1], words[2], words[3]);
}

// The sum over as many neighbouring threads, a power of two.
__device__ float over_lanes(float value, int lanes) {
  for (int apart = lanes / 2; apart > 0; apart /= 2) value += __shfl_xor_sync(~0u, value, apart);
  return value;
}

__device__ float over_warp(float value) { return over_lanes(value, 32); }

// What is added to the channels of picture n before they are normalized: a bias of all pictures, a shift of each.
__device__ Eight added(const uint4 *__restrict__ bias, const uint4 *__restrict__ shift, int stride, int n, int vector) {
  Eight sum = {};
  if (bias != nullptr) sum = read(bias + vector);
  if (shift != nullptr) {
    const Eight other = read(shift + (size_t)n * stride + vector);
#pragma unroll
    for (int i = 0; i < 8; i++) sum.of[i] += other.of[i];
  }
  return sum;
}

// Four places from `place` on, `lanes` apart, as far as they come before `end`: all under way before one is needed.
__device__ void fetch(uint4 (&raw)[4], const uint4 *x, int vectors, int place, int lanes, int end) {
#pragma unroll
  for (int k = 0; k < 4; k++)
    if (place + k * lanes < end) raw[k] = x[(size_t)(place + k * lanes) * vectors];
}

// Of all such places up to `end`: adds each value + more and its square up.
__device__ void sum_up(const uint4 *x, int vectors, int place, int lanes, int end, const Eight &more, Eight &sum,
                       Eight &square) {
  for (; place < end; place += 4 * lanes) {
    uint4 raw[4];
    fetch(raw, x, vectors, place, lanes, end);
#pragma unroll
    for (int k = 0; k < 4; k++)
      if (place + k * lanes < end) {
        const Eight values = unpacked(raw[k]);
#pragma unroll
        for (int i = 0; i < 8; i++) {
          const float value = values.of[i] + more.of[i];
          sum.of[i] += value;
          square.of[i] += value * value;
        }
      }
  }
}

// Of the same places: normalizes each value + more, and takes SiLU of it if wanted. `norms` are means and inverse
// deviations. Eight channels are of two groups at most: of `group`, and from `border` on of the next.
__device__ void normalize(const uint4 *x, uint4 *y, int vectors, int place, int lanes, int end, const Eight &more,
                          Eight scale, Eight rest, const float2 *norms, int group, int border, int silu) {
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const float2 norm = norms[i < border ? group : group + 1];
    scale.of[i] *= norm.y;
    rest.of[i] += (more.of[i] - norm.x) * scale.of[i];
  }
  for (; place < end; place += 4 * lanes) {
    uint4 raw[4];
    fetch(raw, x, vectors, place, lanes, end);
#pragma unroll
    for (int k = 0; k < 4; k++)
      if (place + k * lanes < end) {
        Eight values = unpacked(raw[k]);
#pragma unroll
        for (int i = 0; i < 8; i++) {
          const float value = values.of[i] * scale.of[i] + rest.of[i];
          values.of[i] = silu ? __fdividef(value, 1 + __expf(-value)) : value;
        }
        write(y + (size_t)(place + k * lanes) * vectors, values);
      }
  }
}

// Of each group of a picture's channels, and of each of up to 128 shares of its places: mean and sum of squared
// deviations. Grid (shares, pictures); a block's threads are `lanes` places of all channels, filled up to whole warps.
extern "C" __global__ void __launch_bounds__(512, 2)
    group_statistics(const uint4 *__restrict__ x, const uint4 *__restrict__ bias, const uint4 *__restrict__ shift,
                     int stride, float2 *__restrict__ statistics, int places, int vectors, int lanes, int share,
                     int groups) {
  extern __shared__ float2 sums[];
  const int vector = threadIdx.x % vectors, lane = threadIdx.x / vectors, n = blockIdx.y;
  const int begin = blockIdx.x * share, end = min(begin + share, places);
  if (lane < lanes) {
    const Eight more = added(bias, shift, stride, n, vector);
    Eight sum = {}, square = {};
    sum_up(x + (size_t)n * places * vectors + vector, vectors, begin + lane, lanes, end, more, sum, square);
#pragma unroll
    for (int i = 0; i < 8; i++) sums[(i * lanes + lane) * vectors + vector] = make_float2(sum.of[i], square.of[i]);
  }
  __syncthreads();
  for (int channel = threadIdx.x; channel < 8 * vectors; channel += blockDim.x) {
    float2 *own = sums + channel / vectors * lanes * vectors + channel % vectors;
    float2 total = *own;
    for (int i = 1; i < lanes; i++) {
      total.x += own[i * vectors].x;
      total.y += own[i * vectors].y;
    }
    *own = total;
  }
  __syncthreads();
  const int width = 8 * vectors / groups;
  for (int group = threadIdx.x / 32; group < groups; group += blockDim.x / 32) {
    float sum = 0, square = 0;
    for (int i = threadIdx.x % 32; i < width; i += 32) {
      const int channel = group * width + i;
      const float2 one = sums[channel % 8 * lanes * vectors + channel / 8];
      sum += one.x;
      square += one.y;
    }
    sum = over_warp(sum);
    square = over_warp(square);
    const float mean = sum / (width * (end - begin));
    if (threadIdx.x % 32 == 0)
      statistics[(n * groups + group) * gridDim.x + blockIdx.x] = make_float2(mean, fmaxf(square - sum * mean, 0));
  }
}

// y = the norm of x + bias + shift, then SiLU if wanted, from the statistics of `shares`, each of `share` places but
// the last. Grid (parts of `part` places, pictures), blocks as before.
extern "C" __global__ void __launch_bounds__(512, 2)
    group_norm(const uint4 *__restrict__ x, const uint4 *__restrict__ bias, const uint4 *__restrict__ shift, int stride,
               const float2 *__restrict__ statistics, const uint4 *__restrict__ weight,
               const uint4 *__restrict__ offset, uint4 *__restrict__ y, int places, int vectors, int lanes, int share,
               int groups, int shares, int part, float eps, int silu) {
  extern __shared__ float2 norms[];
  const int n = blockIdx.y, width = 8 * vectors / groups;
  const int vector = threadIdx.x % vectors, lane = threadIdx.x / vectors;
  const Eight more = added(bias, shift, stride, n, vector);
  const uint4 scale = weight[vector], rest = offset[vector];
  for (int group = threadIdx.x / 32; group < groups; group += blockDim.x / 32) {
    const float2 *mine = statistics + (n * groups + group) * shares;
    float2 seen[4];
    float count[4], mean = 0, deviations = 0;
#pragma unroll
    for (int k = 0; k < 4; k++) {
      const int i = k * 32 + threadIdx.x % 32;
      count[k] = i < shares ? min(share, places - i * share) : 0;
      seen[k] = i < shares ? mine[i] : make_float2(0, 0);
    }
#pragma unroll
    for (int k = 0; k < 4; k++) mean += seen[k].x * count[k];
    mean = over_warp(mean) / places;
#pragma unroll
    for (int k = 0; k < 4; k++) {
      const float away = seen[k].x - mean;
      deviations += seen[k].y + away * away * count[k] * width;
    }
    const float variance = over_warp(deviations) / ((float)places * width);
    if (threadIdx.x % 32 == 0) norms[group] = make_float2(mean, rsqrtf(variance + eps));
  }
  __syncthreads();
  if (lane >= lanes) return;
  const int group = vector * 8 / width, begin = blockIdx.x * part + lane;
  const size_t first = (size_t)n * places * vectors + vector;
  normalize(x + first, y + first, vectors, begin, lanes, min(((int)blockIdx.x + 1) * part, places), more,
            unpacked(scale), unpacked(rest), norms, group, (group + 1) * width - vector * 8, silu);
}

// The same in one, where places are few. Grid (sets, pictures), a set being up to four groups, `width` vectors wide. A
// block's threads are `lanes` places of the set, filled up to four warps or more; a group has so many `channels`.
extern "C" __global__ void __launch_bounds__(512, 2)
    small_group_norm(const uint4 *__restrict__ x, const uint4 *__restrict__ bias, const uint4 *__restrict__ shift,
                     int stride, const uint4 *__restrict__ weight, const uint4 *__restrict__ offset,
                     uint4 *__restrict__ y, int places, int vectors, int width, int lanes, int channels, float eps,
                     int silu) {
  __shared__ float2 of_warp[32][4], norms[4];
  const int column = threadIdx.x % width, lane = threadIdx.x / width, warp = threadIdx.x / 32;
  const int vector = blockIdx.x * width + column, n = blockIdx.y, groups = 8 * width / channels;
  const int end = lane < lanes ? places : 0;
  const size_t first = (size_t)n * places * vectors + vector;
  Eight sum = {}, square = {};
  const Eight more = added(bias, shift, stride, n, vector);
  const uint4 scale = weight[vector], rest = offset[vector];
  sum_up(x + first, vectors, lane, lanes, end, more, sum, square);
  const int group = column * 8 / channels, border = (group + 1) * channels - column * 8;
  float2 low = {}, high = {};
#pragma unroll
  for (int i = 0; i < 8; i++) {
    float2 &part = i < border ? low : high;
    part.x += sum.of[i];
    part.y += square.of[i];
  }
#pragma unroll
  for (int k = 0; k < 4; k++)
    if (k < groups) {
      const float2 part = k == group ? low : k == group + 1 ? high : make_float2(0, 0);
      const float2 total = make_float2(over_warp(part.x), over_warp(part.y));
      if (threadIdx.x % 32 == 0) of_warp[warp][k] = total;
    }
  __syncthreads();
  if (warp < groups) {
    const int at = threadIdx.x % 32;
    const float2 part = at < blockDim.x / 32 ? of_warp[at][warp] : make_float2(0, 0);
    const float count = (float)channels * places, total = over_warp(part.x), squares = over_warp(part.y);
    const float mean = total / count;
    if (at == 0) norms[warp] = make_float2(mean, rsqrtf(fmaxf(squares - total * mean, 0) / count + eps));
  }
  __syncthreads();
  normalize(x + first, y + first, vectors, lane, lanes, end, more, unpacked(scale), unpacked(rest), norms, group,
            border, silu);
}

// y, of twice the height and width: each place four times. `count` vectors of y.
extern "C" __global__ void upsample(int count, const uint4 *__restrict__ x, uint4 *__restrict__ y, int height,
                                    int width, int vectors) {
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  const int vector = at % vectors, place = at / vectors, column = place % (2 * width), row = place / (2 * width);
  const int picture = row / (2 * height);
  y[at] = x[(((size_t)picture * height + row % (2 * height) / 2) * width + column / 2) * vectors + vector];
}

// y = each row of x, `wide` vectors of it, before that of other. `count` vectors of y.
extern "C" __global__ void concatenate(int count, const uint4 *__restrict__ x, const uint4 *__restrict__ other,
                                       uint4 *__restrict__ y, int vectors, int wide) {
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  const int vector = at % vectors, row = at / vectors;
  y[at] = vector < wide ? x[row * wide + vector] : other[row * (vectors - wide) + vector - wide];
}

// y = x + other, if there is one, + bias of the channels.
extern "C" __global__ void add(int count, const uint4 *__restrict__ x, const uint4 *__restrict__ other,
                               const uint4 *__restrict__ bias, uint4 *__restrict__ y, int vectors) {
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  Eight sum = read(x + at);
  const Eight last = read(bias + at % vectors);
#pragma unroll
  for (int i = 0; i < 8; i++) sum.of[i] += last.of[i];
  if (other != nullptr) {
    const Eight more = read(other + at);
#pragma unroll
    for (int i = 0; i < 8; i++) sum.of[i] += more.of[i];
  }
  write(y + at, sum);
}

// y = the layer norm of x + shift, of the channels. A row is taken by `lanes` threads, a power of two up to 32, each
// up to five vectors; all that is read is under way before any of it is needed.
extern "C" __global__ void layer_norm(const uint4 *__restrict__ x, const uint4 *__restrict__ shift,
                                      const uint4 *__restrict__ weight, const uint4 *__restrict__ offset,
                                      uint4 *__restrict__ y, int rows, int vectors, int lanes, float eps) {
  const int row = (blockIdx.x * blockDim.x + threadIdx.x) / lanes, lane = threadIdx.x % lanes;
  const bool here = row < rows;
  const size_t first = (size_t)row * vectors;
  uint4 raw[5], raw_shift[5], raw_weight[5], raw_offset[5];
#pragma unroll
  for (int part = 0; part < 5; part++) {
    const int vector = part * lanes + lane;
    if (here && vector < vectors) {
      raw[part] = x[first + vector];
      raw_shift[part] = shift[vector];
      raw_weight[part] = weight[vector];
      raw_offset[part] = offset[vector];
    }
  }
  Eight values[5];
  float mean = 0, variance = 0;
#pragma unroll
  for (int part = 0; part < 5; part++)
    if (here && part * lanes + lane < vectors) {
      values[part] = unpacked(raw[part]);
      const Eight more = unpacked(raw_shift[part]);
#pragma unroll
      for (int i = 0; i < 8; i++) {
        values[part].of[i] += more.of[i];
        mean += values[part].of[i];
      }
    }
  mean = over_lanes(mean, lanes) / (8 * vectors);
#pragma unroll
  for (int part = 0; part < 5; part++)
    if (here && part * lanes + lane < vectors) {
#pragma unroll
      for (int i = 0; i < 8; i++) variance += (values[part].of[i] - mean) * (values[part].of[i] - mean);
    }
  const float scale = rsqrtf(over_lanes(variance, lanes) / (8 * vectors) + eps);
#pragma unroll
  for (int part = 0; part < 5; part++) {
    const int vector = part * lanes + lane;
    if (here && vector < vectors) {
      const Eight by = unpacked(raw_weight[part]), plus = unpacked(raw_offset[part]);
#pragma unroll
      for (int i = 0; i < 8; i++) values[part].of[i] = (values[part].of[i] - mean) * scale * by.of[i] + plus.of[i];
      write(y + first + vector, values[part]);
    }
  }
}

// y = the first half of each row times gelu of its second half.
extern "C" __global__ void geglu(int count, const uint4 *__restrict__ x, uint4 *__restrict__ y, int vectors) {
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  const uint4 *row = x + (size_t)(at / vectors) * 2 * vectors + at % vectors;
  Eight values = read(row);
  const Eight gate = read(row + vectors);
#pragma unroll
  for (int i = 0; i < 8; i++) values.of[i] *= gate.of[i] * (0.5f + 0.5f * erff(gate.of[i] * 0.70710678f));
  write(y + at, values);
}
