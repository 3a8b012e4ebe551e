/// A commit that is made while the loop goes on, as another thread of the process does: at once, some turns later, or when the loop
/// waits for its end.
final class Errand<Failure: Error> {
  private let life: Life
  private let body: () throws(Failure) -> Void
  private var hasBegun = false
  private var outcome: Result<Void, Failure>?

  /// Has a commit made now or later, as chance has it.
  init(_ life: Life, _ world: World, _ body: @escaping () throws(Failure) -> Void) {
    self.life = life
    self.body = body
    if world.draws.oneIn(3) { run() } else { world.errands.append(run) }
  }

  /// Makes it, unless it has been made. Killed meanwhile, the process has no effect any more.
  private func run() {
    guard !hasBegun else { return }
    hasBegun = true
    // The thread may be suspended in it; the loop then waits for it, or isn't looked at.
    life.isCommitting = true
    defer { life.isCommitting = false }
    do throws(Failure) {
      outcome = .success(try body())
    } catch { outcome = .failure(error) }
  }

  /// Whether it is made; throws why it isn't.
  func finish(waiting: Bool) throws(Failure) -> Bool {
    if waiting { run() }
    guard let outcome else { return false }
    try outcome.get()
    return true
  }
}
