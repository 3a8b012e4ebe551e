/// An errand, whatever it throws.
protocol PendingErrand: AnyObject {
  /// Makes it, unless it has been made.
  func run()
  /// Nobody makes it any more.
  func forget()
}

/// A commit that is made while the loop goes on, as another thread of the process does: at once, some turns later, or when the loop
/// waits for its end.
final class Errand<Failure: Error>: PendingErrand {
  private let life: Life
  /// Until it begins: whoever makes the commit has the errand.
  private var body: (() throws(Failure) -> Void)?
  private var outcome: Result<Void, Failure>?

  /// Has a commit made now or later, as chance has it.
  init(_ life: Life, _ world: World, _ body: @escaping () throws(Failure) -> Void) {
    self.life = life
    self.body = body
    if world.draws.oneIn(3) { run() } else { world.errands.append(self) }
  }

  /// Makes it, unless it has been made. Killed meanwhile, the process has no effect any more.
  func run() {
    guard let body else { return }
    self.body = nil
    // The thread may be suspended in it; the loop then waits for it, or isn't looked at.
    life.isCommitting = true
    defer { life.isCommitting = false }
    do throws(Failure) {
      outcome = .success(try body())
    } catch { outcome = .failure(error) }
  }

  func forget() { body = nil }

  /// Whether it is made; throws why it isn't.
  func finish(waiting: Bool) throws(Failure) -> Bool {
    if waiting { run() }
    guard let outcome else { return false }
    try outcome.get()
    return true
  }
}
