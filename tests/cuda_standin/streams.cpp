// Streams, events, capture and graphs.
//
//   call ─▶ enqueue ─┬─▶ the stream's list ─▶ done when somebody waits (late), or at once (early)
//                    ╰─▶ a node of the graph, after the stream's last nodes          where the stream is being captured
//
// Late is as late as the rules allow, so whoever forgot to wait reads what was there before. A graph runs the last node that may
// run first, so whoever forgot a dependency finds its two nodes the wrong way round.
#include "streams.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <set>

namespace standin {

thread_local const char* doing = "nothing";

namespace {

// Never destroyed: threads may still run when the process ends.
auto& streams = *new std::set<CUstream>;
auto& captures = *new std::vector<Capture*>;

double now() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void perform(const Work& work) {
    const char* before = doing;
    doing = work.name.c_str();
    work.run();
    doing = before;
}

// The next thing on a stream's list.
void step(CUstream stream) {
    Work work = std::move(stream->pending.front());
    stream->pending.pop_front();
    perform(work);
}

void lose(Capture* capture) { capture->lost = true; }

// All nodes that come before any of these, these too.
std::set<size_t> with_those_before(const Graph& graph, const std::set<size_t>& nodes) {
    std::set<size_t> all;
    std::vector<size_t> left(nodes.begin(), nodes.end());
    while (!left.empty()) {
        size_t node = left.back();
        left.pop_back();
        if (all.insert(node).second) left.insert(left.end(), graph.nodes[node].after.begin(), graph.nodes[node].after.end());
    }
    return all;
}

// Two pieces of work that may run at the same time must not claim the same memory.
void refuse_shared_claims(const Graph& graph) {
    std::vector<std::set<size_t>> before;
    for (size_t node = 0; node < graph.nodes.size(); node++) before.push_back(with_those_before(graph, {node}));
    for (size_t one = 0; one < graph.nodes.size(); one++)
        for (size_t other = 0; other < one; other++) {
            if (before[one].count(other)) continue;
            for (const Claim& a : graph.nodes[one].work.claims)
                for (const Claim& b : graph.nodes[other].work.claims)
                    if (a.from < b.from + b.bytes && b.from < a.from + a.bytes)
                        die("'%s' and '%s' may run at the same time and share a workspace", graph.nodes[one].work.name.c_str(),
                            graph.nodes[other].work.name.c_str());
        }
}

void run(const Graph& graph) {
    std::vector<size_t> waits(graph.nodes.size());
    std::vector<std::vector<size_t>> then(graph.nodes.size());
    std::set<size_t> ready;
    for (size_t node = 0; node < graph.nodes.size(); node++) {
        waits[node] = graph.nodes[node].after.size();
        for (size_t before : graph.nodes[node].after) then[before].push_back(node);
        if (waits[node] == 0) ready.insert(node);
    }
    while (!ready.empty()) {
        size_t node = late() ? *ready.rbegin() : *ready.begin();
        ready.erase(node);
        perform(graph.nodes[node].work);
        for (size_t next : then[node])
            if (--waits[next] == 0) ready.insert(next);
    }
}

}  // namespace

bool late() {
    static const char* order = std::getenv("HEADSTOCK_STANDIN_ORDER");
    return !order || std::strcmp(order, "early") != 0;
}

std::recursive_mutex& lock() {
    static auto* mutex = new std::recursive_mutex;
    return *mutex;
}

int device_of(CUstream stream) { return stream->context->device; }
bool is_capturing(CUstream stream) { return stream->capture != nullptr; }

CUstream new_stream(CUcontext context) {
    auto stream = new CUstream_st{context};
    streams.insert(stream);
    return stream;
}

void delete_stream(CUstream stream) {
    if (!streams.erase(stream)) die("a stream is destroyed that is none, or no longer");
    if (stream->capture) die("a stream is destroyed while it is being captured");
    finish(stream);
    delete stream;
}

// The context's own stream for the three names of it; dies where there is none of that name.
CUstream stream_called(CUstream stream) {
    static std::map<CUcontext, CUstream> of_contexts;
    if (reinterpret_cast<uintptr_t>(stream) <= 2) {
        CUstream& own = of_contexts[current()];
        if (!own) own = new_stream(current());
        return own;
    }
    if (!streams.count(stream)) die("a stream is used that is none, or no longer");
    return stream;
}

CUresult enqueue(CUstream stream, Work work) {
    if (Capture* capture = stream->capture) {
        if (capture->lost) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        capture->graph->nodes.push_back({std::move(work), {stream->last.begin(), stream->last.end()}});
        stream->last = {capture->graph->nodes.size() - 1};
        return CUDA_SUCCESS;
    }
    stream->pending.push_back(std::move(work));
    if (!late()) finish(stream);
    return CUDA_SUCCESS;
}

void finish(CUstream stream) {
    while (!stream->pending.empty()) step(stream);
}

void finish_all(int device) {
    for (CUstream stream : streams)
        if (device_of(stream) == device) finish(stream);
}

CUresult refuse_during_capture() {
    CUresult result = CUDA_SUCCESS;
    for (Capture* capture : captures) {
        bool own = capture->thread == std::this_thread::get_id();
        bool harms =
            capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL || (own && capture->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
        if (harms) {
            lose(capture);
            result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
    }
    return result;
}

// --- events

CUresult record(CUevent event, CUstream stream) {
    if (event->context != stream->context) return CUDA_ERROR_INVALID_HANDLE;
    if (Capture* capture = stream->capture) {
        if (capture->lost) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        event->capture = capture;
        event->captured = stream->last;
        return CUDA_SUCCESS;
    }
    event->capture = nullptr;
    auto mark = std::make_shared<Mark>();
    mark->stream = stream;
    event->mark = mark;
    return enqueue(stream, {"an event", [mark] { mark->done = true, mark->time = now(); }});
}

void reach(const std::shared_ptr<Mark>& mark) {
    while (mark && !mark->done) step(mark->stream);
}

CUresult wait(CUstream stream, CUevent event) {
    if (Capture* capture = event->capture) {
        if (capture->lost) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        if (stream->capture && stream->capture != capture) {
            lose(capture), lose(stream->capture);
            return CUDA_ERROR_STREAM_CAPTURE_MERGE;
        }
        if (!stream->capture) {
            stream->capture = capture;
            capture->streams.push_back(stream);
            stream->last.clear();
        }
        stream->last.insert(event->captured.begin(), event->captured.end());
        return CUDA_SUCCESS;
    }
    if (stream->capture) {
        lose(stream->capture);
        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    }
    auto mark = event->mark;
    if (!mark) return CUDA_SUCCESS;  // never recorded: nothing to wait for
    return enqueue(stream, {"a wait", [mark] { reach(mark); }});
}

CUresult query(CUevent event) {
    if (event->capture) {
        lose(event->capture);
        return CUDA_ERROR_CAPTURED_EVENT;
    }
    if (CUresult refused = refuse_during_capture()) return refused;
    if (!event->mark || event->mark->done) return CUDA_SUCCESS;
    step(event->mark->stream);  // time goes by
    return CUDA_ERROR_NOT_READY;
}

CUresult synchronize(CUevent event) {
    if (event->capture) {
        lose(event->capture);
        return CUDA_ERROR_CAPTURED_EVENT;
    }
    if (CUresult refused = refuse_during_capture()) return refused;
    reach(event->mark);
    return CUDA_SUCCESS;
}

CUresult elapsed(float* milliseconds, CUevent start, CUevent end) {
    if (!start->timed || !end->timed || !start->mark || !end->mark) return CUDA_ERROR_INVALID_HANDLE;
    if (start->capture || end->capture) return CUDA_ERROR_CAPTURED_EVENT;
    if (!start->mark->done || !end->mark->done) return CUDA_ERROR_NOT_READY;
    *milliseconds = float(end->mark->time - start->mark->time);
    return CUDA_SUCCESS;
}

// --- capture

CUresult begin_capture(CUstream stream, CUstreamCaptureMode mode) {
    if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
    auto capture = new Capture{stream, mode, std::this_thread::get_id(), new Graph, {stream}};
    stream->capture = capture;
    stream->last.clear();
    captures.push_back(capture);
    return CUDA_SUCCESS;
}

CUresult end_capture(CUstream stream, CUgraph* graph) {
    *graph = nullptr;
    Capture* capture = stream->capture;
    if (!capture) return CUDA_ERROR_ILLEGAL_STATE;
    if (capture->origin != stream) return lose(capture), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != std::this_thread::get_id())
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    CUresult result = capture->lost ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
    std::set<size_t> joined = with_those_before(*capture->graph, stream->last);
    for (size_t node = 0; node < capture->graph->nodes.size() && !result; node++)
        if (!joined.count(node)) result = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    for (CUstream member : capture->streams) member->capture = nullptr, member->last.clear();
    captures.erase(std::find(captures.begin(), captures.end(), capture));
    if (result) {
        delete capture->graph;
    } else {
        refuse_shared_claims(*capture->graph);
        *graph = reinterpret_cast<CUgraph>(capture->graph);
    }
    // The capture itself stays: events may still name it, as captured.
    return result;
}

CUstreamCaptureStatus capture_status(CUstream stream) {
    if (!stream->capture) return CU_STREAM_CAPTURE_STATUS_NONE;
    return stream->capture->lost ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

CUresult launch(std::shared_ptr<Graph> graph, CUstream stream) {
    if (stream->capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return enqueue(stream, {"a graph", [graph] { run(*graph); }});
}

}  // namespace standin
