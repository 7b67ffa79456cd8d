// What stands between the products and convolutions of a U-Net and a VAE decoder. Tensors are fp16 and channels last,
// channels come in vectors of eight (16 bytes). Sums are made in one order, whatever else runs: the same bits always.

struct Eight {
  float of[8];
};

__device__ Eight read(const uint4 *from) {
  const uint4 raw = *from;
  const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
  Eight values;
#pragma unroll
  for (int i = 0; i < 4; i++)
    asm("{.reg .b16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high;}"
        : "=f"(values.of[2 * i]), "=f"(values.of[2 * i + 1])
        : "r"(words[i]));
  return values;
}

__device__ void write(uint4 *to, const Eight &values) {
  unsigned words[4];
#pragma unroll
  for (int i = 0; i < 4; i++)
    asm("{.reg .b16 low, high; cvt.rn.f16.f32 low, %1; cvt.rn.f16.f32 high, %2; mov.b32 %0, {low, high};}"
        : "=r"(words[i])
        : "f"(values.of[2 * i]), "f"(values.of[2 * i + 1]));
  *to = make_uint4(words[0], words[1], words[2], words[3]);
}

__device__ float over_warp(float value) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) value += __shfl_xor_sync(~0u, value, apart);
  return value;
}

// What is added to the channels of picture n before they are normalized: a bias of all pictures, a shift of each.
__device__ Eight added(const uint4 *bias, const uint4 *shift, int stride, int n, int vector) {
  Eight sum = {};
  if (bias != nullptr) sum = read(bias + vector);
  if (shift != nullptr) {
    const Eight other = read(shift + (size_t)n * stride + vector);
#pragma unroll
    for (int i = 0; i < 8; i++) sum.of[i] += other.of[i];
  }
  return sum;
}

// Of each group of a picture's channels, and of each of up to 128 shares of its places: mean and sum of squared
// deviations. Grid (shares, pictures); a block's threads are `lanes` places of all channels, filled up to whole warps.
extern "C" __global__ void group_statistics(const uint4 *x, const uint4 *bias, const uint4 *shift, int stride,
                                            float2 *statistics, int places, int vectors, int lanes, int share,
                                            int groups) {
  extern __shared__ float2 sums[];
  const int vector = threadIdx.x % vectors, lane = threadIdx.x / vectors, n = blockIdx.y;
  const int begin = blockIdx.x * share, end = min(begin + share, places);
  if (lane < lanes) {
    const Eight more = added(bias, shift, stride, n, vector);
    Eight sum = {}, square = {};
    const uint4 *mine = x + (size_t)n * places * vectors + vector;
#pragma unroll 4
    for (int place = begin + lane; place < end; place += lanes) {
      const Eight values = read(mine + (size_t)place * vectors);
#pragma unroll
      for (int i = 0; i < 8; i++) {
        const float value = values.of[i] + more.of[i];
        sum.of[i] += value;
        square.of[i] += value * value;
      }
    }
#pragma unroll
    for (int i = 0; i < 8; i++) sums[(vector * 8 + i) * lanes + lane] = make_float2(sum.of[i], square.of[i]);
  }
  __syncthreads();
  const int width = 8 * vectors / groups, count = width * lanes;
  for (int group = threadIdx.x / 32; group < groups; group += blockDim.x / 32) {
    float sum = 0, square = 0;
    for (int i = threadIdx.x % 32; i < count; i += 32) {
      const float2 one = sums[group * count + i];
      sum += one.x;
      square += one.y;
    }
    sum = over_warp(sum);
    square = over_warp(square);
    const float mean = sum / (width * (end - begin));
    if (threadIdx.x % 32 == 0)
      statistics[(n * groups + group) * gridDim.x + blockIdx.x] = make_float2(mean, square - sum * mean);
  }
}

// From the statistics of `shares`, each of `share` places but the last. Grid (parts of `part` places, pictures).
extern "C" __global__ void group_norm(const uint4 *x, const uint4 *bias, const uint4 *shift, int stride,
                                      const float2 *statistics, const uint4 *weight, const uint4 *offset, uint4 *y,
                                      int places, int vectors, int lanes, int share, int groups, int shares, int part,
                                      float eps, int silu) {
  extern __shared__ float2 group_of[];
  const int n = blockIdx.y, width = 8 * vectors / groups;
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
    if (threadIdx.x % 32 == 0) group_of[group] = make_float2(mean, rsqrtf(variance + eps));
  }
  __syncthreads();
  const int vector = threadIdx.x % vectors, lane = threadIdx.x / vectors;
  if (lane >= lanes) return;
  Eight scale = read(weight + vector), rest = read(offset + vector);
  const Eight more = added(bias, shift, stride, n, vector);
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const float2 group = group_of[(vector * 8 + i) / width];
    scale.of[i] *= group.y;
    rest.of[i] += (more.of[i] - group.x) * scale.of[i];
  }
  const size_t first = (size_t)n * places * vectors + vector;
  const int end = min(((int)blockIdx.x + 1) * part, places);
#pragma unroll 4
  for (int place = blockIdx.x * part + lane; place < end; place += lanes) {
    Eight values = read(x + first + (size_t)place * vectors);
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const float value = values.of[i] * scale.of[i] + rest.of[i];
      values.of[i] = silu ? __fdividef(value, 1 + __expf(-value)) : value;
    }
    write(y + first + (size_t)place * vectors, values);
  }
}

// y, of twice the height and width: each place four times. `count` vectors of y.
extern "C" __global__ void upsample(int count, const uint4 *x, uint4 *y, int height, int width, int vectors) {
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  const int vector = at % vectors, place = at / vectors, column = place % (2 * width), row = place / (2 * width);
  const int picture = row / (2 * height);
  y[at] = x[(((size_t)picture * height + row % (2 * height) / 2) * width + column / 2) * vectors + vector];
}

// y = x + other, if there is one, + bias of the channels.
extern "C" __global__ void add(int count, const uint4 *x, const uint4 *other, const uint4 *bias, uint4 *y,
                               int vectors) {
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

// y = the layer norm of x + shift, of the channels. A warp takes a row of up to 32 * 5 vectors.
extern "C" __global__ void layer_norm(const uint4 *x, const uint4 *shift, const uint4 *weight, const uint4 *offset,
                                      uint4 *y, int rows, int vectors, float eps) {
  const int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  const size_t first = (size_t)row * vectors;
  Eight values[5];
  float mean = 0, variance = 0;
#pragma unroll
  for (int part = 0; part < 5; part++) {
    const int vector = part * 32 + lane;
    if (vector < vectors) {
      values[part] = read(x + first + vector);
      const Eight more = read(shift + vector);
#pragma unroll
      for (int i = 0; i < 8; i++) {
        values[part].of[i] += more.of[i];
        mean += values[part].of[i];
      }
    }
  }
  mean = over_warp(mean) / (8 * vectors);
#pragma unroll
  for (int part = 0; part < 5; part++)
    if (part * 32 + lane < vectors) {
#pragma unroll
      for (int i = 0; i < 8; i++) variance += (values[part].of[i] - mean) * (values[part].of[i] - mean);
    }
  const float scale = rsqrtf(over_warp(variance) / (8 * vectors) + eps);
#pragma unroll
  for (int part = 0; part < 5; part++) {
    const int vector = part * 32 + lane;
    if (vector < vectors) {
      const Eight by = read(weight + vector), plus = read(offset + vector);
#pragma unroll
      for (int i = 0; i < 8; i++) values[part].of[i] = (values[part].of[i] - mean) * scale * by.of[i] + plus.of[i];
      write(y + first + vector, values[part]);
    }
  }
}

// y = the first half of each row times gelu of its second half.
extern "C" __global__ void geglu(int count, const uint4 *x, uint4 *y, int vectors) {
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  const uint4 *row = x + (size_t)(at / vectors) * 2 * vectors + at % vectors;
  Eight values = read(row);
  const Eight gate = read(row + vectors);
#pragma unroll
  for (int i = 0; i < 8; i++) values.of[i] *= gate.of[i] * (0.5f + 0.5f * erff(gate.of[i] * 0.70710678f));
  write(y + at, values);
}
