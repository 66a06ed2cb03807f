// What streams, events, captures and graphs are made of; see streams.cpp.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include "standin.h"

namespace standin {

struct Graph {
    struct Node {
        Work work;
        std::vector<size_t> after;
    };
    std::vector<Node> nodes;
};

struct Capture {
    CUstream origin;
    CUstreamCaptureMode mode;
    std::thread::id thread;
    Graph* graph;
    std::vector<CUstream> streams;
    bool lost = false;
};

// A point in the work of a stream.
struct Mark {
    CUstream stream;
    bool done = false;
    double time = 0;
};

}  // namespace standin

struct CUstream_st {
    CUcontext context;
    std::deque<standin::Work> pending = {};
    standin::Capture* capture = nullptr;
    std::set<size_t> last = {};  // in a capture: the nodes that the next one comes after
};

struct CUevent_st {
    CUcontext context;
    bool timed;
    std::shared_ptr<standin::Mark> mark = {};
    standin::Capture* capture = nullptr;
    std::set<size_t> captured = {};
};

namespace standin {

CUstream new_stream(CUcontext context);
void delete_stream(CUstream stream);
CUstream stream_called(CUstream stream);

CUresult record(CUevent event, CUstream stream);
CUresult wait(CUstream stream, CUevent event);
CUresult query(CUevent event);
CUresult synchronize(CUevent event);
CUresult elapsed(float* milliseconds, CUevent start, CUevent end);

CUresult begin_capture(CUstream stream, CUstreamCaptureMode mode);
CUresult end_capture(CUstream stream, CUgraph* graph);
CUstreamCaptureStatus capture_status(CUstream stream);
CUresult launch(std::shared_ptr<Graph> graph, CUstream stream);

}  // namespace standin
