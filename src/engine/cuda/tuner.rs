//! Chooses an engine for each convolution: the fastest, measured once on the card.
//!
//! ```text
//! key ─▶ compiled already ─▶ chosen before, by tag ─▶ cuDNN's proposals, those that keep the digits, each timed ─▶ plan, kept by tag
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags;

use super::arithmetic::Arithmetic;
use super::card::Card;
use super::choices::Choices;
use super::cudnn::{Bias, Config, Convolution, ExecutionPlan, Graph, Handle, Heuristics, Launch, Pointers};
use super::error::{CudaError, Result};
use super::memory::Memory;

/// Proposals that are looked at,
const MOST_PROPOSALS: usize = 40;
/// and of those that may be used, how many are timed: some engines take a second to compile.
const PROPOSALS: usize = 8;
/// Bytes of workspace that a proposal may want.
const MOST_WORKSPACE: usize = 4 << 30;
/// Rounds that a proposal is timed for; the best counts.
const ROUNDS: usize = 3;
/// What is kept where no engine computes a layer.
const NONE: &str = "none";

/// Who chooses.
pub struct Tuner {
    choices: Arc<Mutex<Choices>>,
    /// Compiled in this process, by key.
    plans: HashMap<String, Arc<ExecutionPlan>>,
    /// Keys that no engine computes.
    refused: HashSet<String>,
    /// What cuDNN last said against an engine.
    last_words: String,
    workspace: Option<(usize, Memory)>,
}

impl Tuner {
    /// One that keeps to earlier choices.
    pub fn new(choices: Arc<Mutex<Choices>>) -> Self {
        Self { choices, plans: HashMap::new(), refused: HashSet::new(), last_words: String::new(), workspace: None }
    }

    /// Whether an earlier run has chosen for these numbers.
    pub fn knows(&self, arithmetic: Arithmetic) -> bool {
        let choices = self.choices.lock().unwrap_or_else(PoisonError::into_inner);
        choices.has_any(&format!("{} ", arithmetic.name()))
    }

    /// The plan for a convolution, at these places that it may write to; `None` where no engine computes it.
    ///
    /// # Errors
    /// Out of memory.
    pub fn plan(
        &mut self,
        card: &Card,
        handle: &Handle,
        convolution: &Convolution,
        places: Pointers,
    ) -> Result<Option<Arc<ExecutionPlan>>> {
        let key = convolution.key();
        if let Some(plan) = self.plans.get(&key) {
            return Ok(Some(Arc::clone(plan)));
        }
        // Whoever wants the same layer elsewhere meanwhile waits, and keeps to what is chosen here.
        let choices = Arc::clone(&self.choices);
        let mut choices = choices.lock().unwrap_or_else(PoisonError::into_inner);
        let before = choices.get(&key);
        if self.refused.contains(&key) || before == Some(NONE) {
            return Ok(None);
        }
        let mut graphs = Vec::new();
        for graph in convolution.graphs(handle) {
            match graph {
                Ok(graph) => graphs.push(Arc::new(graph)),
                Err(error) => self.against(&error),
            }
        }
        let kept = before.and_then(|tag| self.kept(handle, convolution, &graphs, tag));
        let found = match kept {
            Some(plan) => Some(plan),
            None => self.fastest(card, handle, convolution, &graphs, places)?,
        };
        let Some(plan) = found else {
            choices.set(key.clone(), NONE);
            self.refused.insert(key);
            return Ok(None);
        };
        choices.set(key.clone(), &format!("{}{}", prefix(plan.graph().bias()), plan.tag()));
        let plan = Arc::new(plan);
        self.plans.insert(key, Arc::clone(&plan));
        Ok(Some(plan))
    }

    /// Forgets that these are refused. A layer that nothing computes ends the run, and the next run shall ask again: the reason may
    /// have been a library that was missing.
    pub fn forget(&mut self, refused: &[Convolution]) {
        let mut choices = self.choices.lock().unwrap_or_else(PoisonError::into_inner);
        for key in refused.iter().map(Convolution::key) {
            choices.remove(&key);
            self.refused.remove(&key);
        }
    }

    /// What cuDNN last said against an engine.
    pub fn last_words(&self) -> &str {
        &self.last_words
    }

    /// Keeps the choices for later runs, and gives back the memory that choosing took.
    pub fn finish(&mut self) {
        self.workspace = None;
        self.choices.lock().unwrap_or_else(PoisonError::into_inner).keep();
    }

    /// Forgets what was compiled.
    pub fn forget_plans(&mut self) {
        self.plans.clear();
    }

    /// The plan that was chosen by an earlier run, where it still compiles.
    fn kept(
        &mut self,
        handle: &Handle,
        convolution: &Convolution,
        graphs: &[Arc<Graph>],
        tag: &str,
    ) -> Option<ExecutionPlan> {
        let mut of_tag = graphs.iter().filter_map(|graph| Some((graph, tag.strip_prefix(prefix(graph.bias()))?)));
        let (graph, tag) = of_tag.find(|(_, tag)| tag.starts_with("eng"))?;
        let config = Config::tagged(graph, tag).ok()??;
        let plan = config.keeps(convolution.tensor_cores).then(|| ExecutionPlan::new(handle, graph, config))?;
        plan.map_err(|error| self.against(&error)).ok()
    }

    /// The fastest of what cuDNN proposes.
    fn fastest(
        &mut self,
        card: &Card,
        handle: &Handle,
        convolution: &Convolution,
        graphs: &[Arc<Graph>],
        places: Pointers,
    ) -> Result<Option<ExecutionPlan>> {
        let mut out_of_memory = None;
        for heuristics in [Heuristics::A, Heuristics::B, Heuristics::Fallback] {
            let mut best: Option<(f32, ExecutionPlan)> = None;
            for graph in graphs {
                let proposed = self.proposed(graph, heuristics, convolution.tensor_cores);
                for config in proposed.into_iter().take(PROPOSALS / graphs.len()) {
                    match self.timed(card, handle, graph, config, places) {
                        Ok((time, plan)) => {
                            if best.as_ref().is_none_or(|(least, _)| time < *least) {
                                best = Some((time, plan));
                            }
                        }
                        Err(error) if error.is_out_of_memory() => out_of_memory = Some(error),
                        Err(error) => self.against(&error),
                    }
                }
            }
            if let Some((_, plan)) = best {
                return Ok(Some(plan));
            }
        }
        out_of_memory.map_or(Ok(None), Err)
    }

    /// What cuDNN proposes and may be used, best first.
    fn proposed(&mut self, graph: &Graph, heuristics: Heuristics, tensor_cores: bool) -> Vec<Config> {
        match Config::proposed(graph, heuristics, MOST_PROPOSALS) {
            Ok(configs) => configs.into_iter().filter(|config| config.keeps(tensor_cores)).collect(),
            Err(error) => {
                self.against(&error);
                Vec::new()
            }
        }
    }

    /// Compiles a proposal, and how many milliseconds it takes.
    fn timed(
        &mut self,
        card: &Card,
        handle: &Handle,
        graph: &Arc<Graph>,
        config: Config,
        places: Pointers,
    ) -> Result<(f32, ExecutionPlan)> {
        let plan = Arc::new(ExecutionPlan::new(handle, graph, config)?);
        let time = self.time(card, handle, &plan, places)?;
        // The launch that shared it is gone.
        let plan = Arc::into_inner(plan);
        plan.map(|plan| (time, plan)).ok_or_else(|| candle_core::Error::msg("a plan in use twice").into())
    }

    fn time(&mut self, card: &Card, handle: &Handle, plan: &Arc<ExecutionPlan>, places: Pointers) -> Result<f32> {
        let workspace = self.workspace(card, plan.workspace())?;
        let launch = Launch::new(plan, &Pointers { workspace, ..places })?;
        let context = card.context()?;
        let [start, end] = [(); 2].map(|()| context.new_event(Some(CUevent_flags::CU_EVENT_DEFAULT)));
        let (start, end) = (start?, end?);
        run(&launch, handle)?;
        let mut best = f32::INFINITY;
        for _ in 0..ROUNDS {
            start.record(&card.stream)?;
            run(&launch, handle)?;
            end.record(&card.stream)?;
            best = best.min(start.elapsed_ms(&end)?);
        }
        Ok(best)
    }

    fn workspace(&mut self, card: &Card, bytes: usize) -> Result<u64> {
        if bytes > MOST_WORKSPACE {
            return Err(candle_core::Error::msg(format!("{bytes} bytes of workspace are too many")).into());
        }
        if self.workspace.as_ref().is_none_or(|(len, _)| *len < bytes) {
            // Not both at once.
            self.workspace = None;
            self.workspace = Some((bytes, Memory::zeroed(&card.stream, bytes)?));
        }
        Ok(self.workspace.as_ref().map_or(0, |(_, memory)| memory.address()))
    }

    fn against(&mut self, error: &CudaError) {
        self.last_words = error.to_string();
    }
}

/// What stands before the tag of a plan whose bias is rounded.
const fn prefix(bias: Option<Bias>) -> &'static str {
    match bias {
        Some(Bias::Rounded) => "rounded-bias ",
        Some(Bias::Float32) | None => "",
    }
}

#[expect(unsafe_code, reason = "runs cuDNN on given memory")]
fn run(launch: &Launch, handle: &Handle) -> Result<()> {
    // SAFETY: the places are those of the layer, in memory that its batch keeps, and the workspace is as large as the plan asked for;
    // all work is on the engine's stream.
    unsafe { launch.run(handle) }
}
