// A conversation of MLflow's client for Node.js with the server at MLFLOW_TRACKING_URI; what it found goes to stdout.
const MLflow = require('mlflow')

const { Experiments, Runs, Metrics, Artifacts } = new MLflow({ endpoint: process.env.MLFLOW_TRACKING_URI })

const main = async () => {
  const { experiment_id } = await Experiments.create({ name: 'from node' })
  const { run } = await Runs.create({ experiment_id, start_time: 1700000000000, tags: [{ key: 'who', value: 'node' }] })
  const { run_id } = run.info
  await Runs.logParameter({ run_id, key: 'depth', value: '3' })
  for (let step = 0; step < 5; step++) {
    await Runs.logMetric({ run_id, key: 'loss', value: 1 / (step + 1), timestamp: 1700000000000 + step, step })
  }
  await Runs.logBatch({ run_id, metrics: [{ key: 'auc', value: 0.71, timestamp: 1700000000009, step: 9 }] })
  await Runs.update({ run_id, status: 'FINISHED', end_time: 1700000001000 })
  const { runs } = await Runs.search({ experiment_ids: [experiment_id], filter: 'metrics.auc > 0.7' })
  const history = await Metrics.getHistory({ run_id, metric_key: 'loss' })
  const artifacts = await Artifacts.list({ run_id })
  let refused = ''
  try {
    await Runs.get({ run_id: 'f'.repeat(32) })
  } catch (problem) {
    refused = String(problem.message || problem)
  }
  const { experiment } = await Experiments.get({ experiment_id })
  process.stdout.write('\n' + JSON.stringify({ experiment, runs, history, artifacts, refused }))
}

main().catch((problem) => {
  console.error(problem)
  process.exit(1)
})
