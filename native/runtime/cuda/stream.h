// The device's queue, by a name that needs no CUDA header: launchers and the model's code pass it
// along. All work of one backend is on one stream, so a later step's writes follow the earlier
// step's reads, and a freed KV block may be given away at once.
#pragma once

struct CUstream_st;

namespace sluice {

using DeviceStream = CUstream_st*;

}  // namespace sluice
