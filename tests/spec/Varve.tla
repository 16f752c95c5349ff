------------------------------- MODULE Varve --------------------------------
(* How a log of varve reaches the disk and is opened again: appends, rolls,    *)
(* group commit, the durable point, truncation and deletion of a prefix with   *)
(* their intent, failed syncs, process deaths and power losses at any moment,  *)
(* and opening, which may itself be interrupted. Actions have the names of     *)
(* functions in lib/log; README.md tells which, and what is left out.          *)
(*                                                                             *)
(* Each batch holds one record, and records are numbered as they are appended, *)
(* so that one that was truncated is told from its successor at that offset.   *)
EXTENDS Disk

CONSTANTS
  MaxRecords, MaxRolls, MaxTruncations, MaxDeletions,  \* what the host asks for
  MaxPowerLosses, MaxDeaths, MaxFailures,              \* what goes wrong
  Broken                                               \* a step that is done wrongly; "" for none

VARIABLES
  names,     \* base offset -> the .log file of that name; see Disk
  slots,     \* varve.state
  pc,        \* what the writer does next; "Open": whatever the host asks for; "Closed": nobody has the log open
  unsynced,  \* Flusher: bases of segments that an opening has left to the first sync
  queue,     \* Flusher: bases of sealed segments that are not yet synced, oldest first
  newNames,  \* Flusher: names that the directory's sync does not cover yet
  flush,     \* Flusher: the sync under way; None
  op,        \* the operation that is carried through; None
  plan,      \* what an opening is about to do; None
  \* What the host was told, which is in no file:
  log,       \* records by offset, the first of them at offset 0, as appended and truncated
  acked,     \* all below are acknowledged as kDurable
  cutTo,     \* a truncation that was asked for and has not returned; -1: none
  start,     \* the log start; startTo: the one asked for by a deletion that has not returned
  startTo,
  lost,      \* a power loss since the log was last open
  used       \* how often each thing has happened

disk == <<names, slots>>
flusher == <<unsynced, queue, newNames, flush>>
told == <<log, acked, cutTo, start, startTo, lost>>
vars == <<names, slots, pc, unsynced, queue, newNames, flush, op, plan, log, acked, cutTo, start, startTo, lost, used>>

Bases == 0..(MaxRecords - 1)
Found == {b \in Bases : names[b].file # None}
ActiveBase == Max(Found)
FileOf(b) == names[b].file
Values == Newest(slots[0].now, slots[1].now)
Store(values) ==
  LET seq == Values.seq + 1 IN StoredIn(slots, seq % 2, values, seq)

Count(what) == used' = Update(used, what, used[what] + 1)
(* A sync succeeds or fails. *)
Outcomes == IF used.failures < MaxFailures THEN BOOLEAN ELSE {TRUE}
CountIfFailed(ok) == IF ok THEN UNCHANGED used ELSE Count("failures")

(* The segment that holds an offset, by the names alone. *)
SegmentOf(offset) == Max({b \in Found : b <= offset})
PointAt(offset) ==  \* PointBelow: named by the last batch below it, in the segment that holds that
  LET below == {b \in Found : b < offset}
      seg == IF below = {} THEN offset ELSE Max(below)
  IN [off |-> offset, seg |-> seg, last |-> IF below = {} THEN 0 ELSE log[offset]]
WithPoint(values, point) == [values EXCEPT !.off = point.off, !.seg = point.seg, !.last = point.last]

Init ==
  /\ names = [b \in Bases |-> IF b = 0 THEN [file |-> <<>>, alts |-> {}] ELSE NoFile]
  /\ slots = [i \in 0..1 |-> [now |-> IF i = 0 THEN None
                                      ELSE [seq |-> 1, off |-> 0, seg |-> 0, last |-> 0, pend |-> "none", to |-> 0,
                                            start |-> 0, fresh |-> TRUE],
                              alts |-> {}, d |-> FALSE]]
  /\ pc = "Open"
  /\ unsynced = {} /\ queue = <<>> /\ newNames = {} /\ flush = None
  /\ op = None /\ plan = None
  /\ log = <<>> /\ acked = 0 /\ cutTo = -1 /\ start = 0 /\ startTo = 0 /\ lost = FALSE
  /\ used = [records |-> 0, rolls |-> 0, truncations |-> 0, deletions |-> 0, losses |-> 0, deaths |-> 0, failures |-> 0]

(* The host closes a log that a failure has stopped, or opening has failed: nothing but the files is left. *)
Close ==
  /\ pc' = "Closed"
  /\ unsynced' = {} /\ queue' = <<>> /\ newNames' = {} /\ flush' = None /\ op' = None /\ plan' = None

----------------------------------------------------------------------------
(* Appender *)

(* Written and published, and so acknowledged as kWritten. *)
AppendRecords ==
  /\ pc = "Open" /\ used.records < MaxRecords
  /\ Count("records")
  /\ names' = Written(names, ActiveBase, WriteBehind(FileOf(ActiveBase), used.records + 1))
  /\ log' = log \o <<used.records + 1>>
  /\ UNCHANGED <<slots, pc, flusher, op, plan, acked, cutTo, start, startTo, lost>>

(* With Flusher::Rolled: no sync, but a store to varve.state. *)
RollTo ==
  /\ pc = "Open" /\ used.rolls < MaxRolls /\ Size(FileOf(ActiveBase)) > 0 /\ Len(log) \in Bases
  /\ Count("rolls")
  /\ names' = Renamed(names, Len(log), <<>>)
  /\ queue' = IF Broken = "RollWithoutSync" THEN queue ELSE queue \o <<ActiveBase>>
  /\ newNames' = IF Broken = "NoDirectorySync" THEN newNames ELSE newNames \cup {Len(log)}
  /\ slots' = Store(Values)
  /\ UNCHANGED <<pc, unsynced, flush, op, plan, told>>

----------------------------------------------------------------------------
(* Flusher: one sync for everything published when it begins; appends and rolls go on meanwhile. *)

SyncOnce ==
  /\ pc = "Open" /\ flush = None
  /\ acked < Len(log) \/ unsynced # {} \/ queue # <<>> \/ newNames # {}
  /\ flush' = [rewrite |-> unsynced, sealed |-> queue, taken |-> Len(queue), names |-> newNames, base |-> ActiveBase, end |-> Len(log),
             done |-> FALSE]
  /\ acked' = IF Broken = "AckBeforeSync" THEN Len(log) ELSE acked
  /\ slots' = IF Broken = "StoreDurableBeforeSync" THEN Store(WithPoint(Values, PointAt(Len(log)))) ELSE slots
  /\ UNCHANGED <<names, pc, unsynced, queue, newNames, op, plan, log, cutTo, start, startTo, lost, used>>

(* A sync that fails poisons the log: until it is opened anew nothing is written, and nothing acknowledged. *)
Poison ==
  IF Broken = "RetrySync" THEN flush' = None /\ UNCHANGED <<pc, unsynced, queue, newNames, op, plan>> ELSE Close

(* RewriteUnsynced, a file: what an opening has left is written again and synced before all else. *)
RewriteUnsynced ==
  /\ flush # None /\ flush.rewrite # {}
  /\ \E ok \in Outcomes :
       LET b == Min(flush.rewrite)
           file == IF Broken = "SyncWithoutRewriting" THEN FileOf(b) ELSE Rewritten(FileOf(b))
       IN
       /\ names' = Written(names, b, IF ok THEN Synced(file) ELSE SyncFailed(file))
       /\ CountIfFailed(ok)
       /\ IF ok THEN /\ flush' = Update(flush, "rewrite", flush.rewrite \ {b})
                     /\ UNCHANGED <<pc, unsynced, queue, newNames, op, plan>>
          ELSE Poison
  /\ UNCHANGED <<slots, told>>

(* Flusher::SyncFiles, a sealed file. *)
SyncSealed ==
  /\ flush # None /\ flush.rewrite = {} /\ flush.sealed # <<>>
  /\ \E ok \in Outcomes :
       LET b == Head(flush.sealed) IN
       /\ names' = Written(names, b, IF ok THEN Synced(FileOf(b)) ELSE SyncFailed(FileOf(b)))
       /\ CountIfFailed(ok)
       /\ IF ok THEN /\ flush' = Update(flush, "sealed", Tail(flush.sealed))
                     /\ UNCHANGED <<pc, unsynced, queue, newNames, op, plan>>
          ELSE Poison
  /\ UNCHANGED <<slots, told>>

(* Flusher::SyncFiles, the directory. *)
SyncNames ==
  /\ flush # None /\ flush.rewrite = {} /\ flush.sealed = <<>> /\ flush.names # {}
  /\ \E ok \in Outcomes :
       /\ names' = IF ok THEN NamesSynced(names) ELSE names
       /\ CountIfFailed(ok)
       /\ IF ok THEN /\ flush' = Update(flush, "names", {})
                     /\ newNames' = newNames \ flush.names
                     /\ UNCHANGED <<pc, unsynced, queue, op, plan>>
          ELSE Poison
  /\ UNCHANGED <<slots, told>>

(* Flusher::SyncFiles, the active file. *)
SyncActive ==
  /\ flush # None /\ flush.rewrite = {} /\ flush.sealed = <<>> /\ flush.names = {} /\ ~flush.done
  /\ \E ok \in Outcomes :
       LET b == flush.base IN
       /\ names' = Written(names, b, IF ok THEN Synced(FileOf(b)) ELSE SyncFailed(FileOf(b)))
       /\ CountIfFailed(ok)
       /\ IF ok THEN flush' = Update(flush, "done", TRUE) /\ UNCHANGED <<pc, unsynced, queue, newNames, op, plan>>
          ELSE Poison
  /\ UNCHANGED <<slots, told>>

(* What SyncOnce does when all are synced: StoreDurable, PublishDurable. Now and then varve.state is synced too; that *)
(* this fails is nobody's loss.                                                                                       *)
StoreDurable ==
  /\ flush # None /\ flush.done
  /\ LET end == IF Broken = "AckPublishedEnd" THEN Len(log) ELSE flush.end
         point == [off |-> end, seg |-> flush.base, last |-> IF end = flush.base THEN 0 ELSE log[end]]
         stored == Store(WithPoint(Values, point))
     IN /\ queue' = IF Broken = "ClearQueueAfterSync" THEN <<>> ELSE SubSeq(queue, flush.taken + 1, Len(queue))
        /\ acked' = end
        /\ \/ slots' = stored /\ UNCHANGED used
           \/ slots' = SlotsSynced(stored) /\ UNCHANGED used
           \/ used.failures < MaxFailures /\ slots' = SlotsSyncFailed(stored) /\ Count("failures")
  /\ unsynced' = {} /\ flush' = None
  /\ UNCHANGED <<names, pc, newNames, op, plan, log, cutTo, start, startTo, lost>>

----------------------------------------------------------------------------
(* Truncation and PrefixDeletion: the intent is synced before a name or a size changes. *)

EverythingIsDurable == flush = None /\ acked = Len(log) /\ unsynced = {} /\ queue = <<>> /\ newNames = {}

(* Truncation::TruncateTo up to Flusher::UpdateState's store. That everything is durable is the sync it waits for. *)
TruncateTo ==
  /\ pc = "Open" /\ used.truncations < MaxTruncations /\ EverythingIsDurable
  /\ Count("truncations")
  /\ \E offset \in Values.start..(Len(log) - 1) :
       LET point == PointAt(offset) IN
       /\ cutTo' = offset
       /\ op' = [kind |-> "truncate", to |-> offset, seg |-> point.seg, live |-> TRUE]
       /\ IF Broken = "TruncateWithoutIntent" THEN pc' = "CarryThrough" /\ UNCHANGED slots
          ELSE /\ pc' = "Announced"
               /\ slots' = Store([IF Broken = "PointNotLowered" THEN Values ELSE WithPoint(Values, point)
                                  EXCEPT !.pend = "truncate", !.to = offset])
  /\ UNCHANGED <<names, flusher, plan, log, acked, start, startTo, lost>>

(* PrefixDeletion::MoveLogStart up to Flusher::UpdateState's store. *)
MoveLogStart ==
  /\ pc = "Open" /\ used.deletions < MaxDeletions /\ EverythingIsDurable
  /\ Count("deletions")
  /\ \E offset \in (Values.start + 1)..Len(log) :
       /\ startTo' = offset
       /\ op' = [kind |-> "delete", to |-> offset, seg |-> 0, live |-> TRUE]
       /\ IF Broken = "DeleteWithoutIntent" THEN pc' = "CarryThrough" /\ UNCHANGED slots
          ELSE /\ pc' = "Announced"
               /\ slots' = Store([Values EXCEPT !.pend = "delete", !.to = offset, !.start = offset])
  /\ UNCHANGED <<names, flusher, plan, log, acked, cutTo, start, lost>>

(* A sync of varve.state that somebody waits for, and what comes next. *)
UpdateState(next) ==
  /\ \E ok \in Outcomes :
       /\ slots' = IF ok THEN SlotsSynced(slots) ELSE SlotsSyncFailed(slots)
       /\ CountIfFailed(ok)
       /\ IF ok THEN pc' = next /\ UNCHANGED <<flusher, op, plan>> ELSE Close
  /\ UNCHANGED <<names, told>>

(* Truncation::Reload opens anew, by the code of an opening; a deletion acts at once. *)
Announce == pc = "Announced" /\ UpdateState(IF op.kind = "truncate" THEN "LoadLog" ELSE "CarryThrough")

----------------------------------------------------------------------------
(* LoadLog: a pending operation first. *)

LoadLog ==
  /\ pc \in {"Closed", "LoadLog"} /\ Values.pend # "none"
  /\ pc' = "CompletePending"
  /\ slots' = Store(Values)
  /\ op' = [kind |-> Values.pend, to |-> Values.to, seg |-> Values.seg, live |-> op # None]
  /\ UNCHANGED <<names, flusher, plan, told, used>>

CompletePending == pc = "CompletePending" /\ UpdateState("CarryThrough")

SegmentsToRemove ==
  IF op.kind = "truncate" THEN {b \in Found : b >= op.to} \ {Min(Found)}
  ELSE {b \in Found : \E next \in Found : b < next /\ next <= op.to}

(* CarryThrough, a name: the newest first, of a prefix the oldest. *)
RemoveSegmentFiles ==
  /\ pc = "CarryThrough" /\ SegmentsToRemove # {}
  /\ names' = Renamed(names, IF op.kind = "truncate" THEN Max(SegmentsToRemove) ELSE Min(SegmentsToRemove), None)
  /\ UNCHANGED <<slots, pc, flusher, op, plan, told, used>>

(* A sync of the directory that the writer waits for, and what comes next. One that has nothing to do does not fail. *)
SyncDirectory(next) ==
  /\ \E ok \in IF NamesAreStable(names) THEN {TRUE} ELSE Outcomes :
       /\ names' = IF ok THEN NamesSynced(names) ELSE names
       /\ CountIfFailed(ok)
       /\ IF ok THEN pc' = next /\ UNCHANGED <<flusher, op, plan>> ELSE Close
  /\ UNCHANGED <<slots, told>>

NoSyncs == Broken \in {"TruncateWithoutDirectorySync", "ClearIntentBeforeDirectorySync"}

(* CarryThrough, the directory. *)
SyncRemovals ==
  LET next == IF op.kind = "truncate" THEN "CutAtPoint" ELSE "ClearIntent" IN
  /\ pc = "CarryThrough" /\ SegmentsToRemove = {}
  /\ IF NoSyncs THEN pc' = next /\ UNCHANGED <<disk, flusher, op, plan, told, used>> ELSE SyncDirectory(next)

(* CarryThrough, the file: no inode is shrunk, a synced copy of what stays takes the name over. *)
CutAtPoint ==
  /\ pc = "CutAtPoint"
  /\ LET keep == Values.off - op.seg
         size == IF Broken = "TruncateWithoutIntent" THEN op.to - op.seg ELSE keep
     IN names' = IF op.seg \in Found /\ Size(FileOf(op.seg)) > size
                 THEN Renamed(names, op.seg, IF Broken = "CutWithoutSync" THEN UnsyncedCopyOf(FileOf(op.seg), size)
                                             ELSE CopyOf(FileOf(op.seg), size))
                 ELSE names
  /\ pc' = IF NoSyncs THEN "ClearIntent" ELSE "SyncCut"
  /\ UNCHANGED <<slots, flusher, op, plan, told, used>>

SyncCut == pc = "SyncCut" /\ SyncDirectory("ClearIntent")

(* Completed, and the store of a state without the intent: CompletePending, or PrefixDeletion::DropPrefix. *)
ClearIntent ==
  /\ pc = "ClearIntent"
  /\ pc' = "IntentCleared"
  /\ LET values == IF Broken = "TruncateWithoutIntent" THEN WithPoint(Values, PointAt(op.to)) ELSE Values
         completed == IF op.kind = "truncate" THEN [values EXCEPT !.start = Min({values.start, op.to})]
                      ELSE [values EXCEPT !.start = Max({values.start, op.to})]
     IN slots' = Store([completed EXCEPT !.pend = "none", !.to = 0])
  /\ UNCHANGED <<names, flusher, op, plan, told, used>>

(* A deletion returns; of a truncation, and where an opening has found the intent, the judgement comes next. *)
IsLiveDeletion == op.kind = "delete" /\ op.live
SyncCleared == pc = "IntentCleared" /\ ~IsLiveDeletion /\ UpdateState("MakeLoadPlan")
DropPrefix ==
  /\ pc = "IntentCleared" /\ IsLiveDeletion
  /\ \E ok \in Outcomes :
       /\ slots' = IF ok THEN SlotsSynced(slots) ELSE SlotsSyncFailed(slots)
       /\ CountIfFailed(ok)
       /\ IF ok THEN pc' = "Open" /\ start' = startTo /\ op' = None /\ UNCHANGED <<flusher, plan>>
          ELSE Close /\ UNCHANGED start
  /\ UNCHANGED <<names, log, acked, cutTo, startTo, lost>>

----------------------------------------------------------------------------
(* LoadLog: the judgement, which changes nothing, and its execution. *)

(* ReasonPointIsVoid: its segment is gone, or another batch stands where its last one was. *)
PointIsVoid(values, bases) ==
  \/ values.seg \notin bases
  \/ values.off > values.seg /\ LET f == FileOf(values.seg) i == values.off - values.seg
                                IN i <= Len(f) /\ f[i].v \notin {0, values.last}

(* MakeLoadPlan, with BelieveMarks and RecoverSegment: after a restart the log ends at the first thing above the *)
(* durable point that is not as it should be, a batch or the next segment's name. Where the cache survived all   *)
(* is kept.                                                                                                      *)
PlanOf(values) ==
  LET void == PointIsVoid(values, Found)
      deleted == IF void THEN {} ELSE {b \in Found : \E next \in Found : b < next /\ next <= values.start}
      bases == Found \ deleted
      off == IF void THEN 0 ELSE values.off
      survived == ~void /\ (values.fresh \/ Broken = "BelieveCacheAfterRestart")
      first == IF void \/ {b \in bases : b <= values.seg} = {} THEN Min(bases)
               ELSE Max({b \in bases : b <= values.seg})
      EndOf(b) == b + GoodSize(FileOf(b))
      NextOf(b) == Min({next \in bases : next > b})
      BreaksRow(b) == ~void /\ b # Max(bases) /\ EndOf(b) >= off /\ NextOf(b) # EndOf(b)
      Stops(b) == b >= first /\ ~survived /\ EndOf(b) >= off
                  /\ (GoodSize(FileOf(b)) < Size(FileOf(b)) \/ BreaksRow(b))
      stopping == {b \in bases : Stops(b)}
      last == IF stopping = {} THEN Max(bases) ELSE Min(stopping)
      cut == IF Broken = "CutAtDurablePoint" /\ off >= last THEN off - last
             ELSE IF stopping = {} THEN Size(FileOf(last)) ELSE GoodSize(FileOf(last))
  IN [deleted |-> deleted,
      beyond |-> IF Broken = "LeaveBeyond" THEN {} ELSE {b \in bases : b > last},
      last |-> last, cut |-> cut,
      rewrite |-> {b \in bases : first <= b /\ b <= last},
      asFound |-> ~void /\ deleted = {} /\ stopping = {} /\ off < EndOf(last),
      later |-> FALSE,  \* rewritten by the first sync
      start |-> Max({Min(bases), IF void THEN 0 ELSE values.start})]

AfterRemoved(p) == IF Size(FileOf(p.last)) > p.cut THEN "CutTail" ELSE "SyncUnsynced"
AfterJudged(p) == IF p.beyond # {} THEN "RemoveBeyond" ELSE AfterRemoved(p)

MakeLoadPlan ==
  /\ pc = "MakeLoadPlan" \/ (pc \in {"Closed", "LoadLog"} /\ Values.pend = "none")
  /\ plan' = PlanOf(Values)
  /\ pc' = IF Broken = "RemoveDeletedFirst" /\ plan'.deleted # {} THEN "RemoveDeleted" ELSE AfterJudged(plan')
  /\ UNCHANGED <<disk, flusher, op, told, used>>

(* Segments behind the log's end, the newest first. *)
RemoveBeyond ==
  /\ pc = "RemoveBeyond" /\ plan.beyond # {}
  /\ names' = Renamed(names, Max(plan.beyond), None)
  /\ plan' = Update(plan, "beyond", plan.beyond \ {Max(plan.beyond)})
  /\ UNCHANGED <<slots, pc, flusher, op, told, used>>
SyncBeyond ==
  /\ pc = "RemoveBeyond" /\ plan.beyond = {}
  /\ SyncDirectory(AfterRemoved(plan))

CutTail ==
  /\ pc = "CutTail"
  /\ names' = Written(names, plan.last, CutTo(FileOf(plan.last), plan.cut))
  /\ pc' = "SyncTail"
  /\ UNCHANGED <<slots, flusher, op, plan, told, used>>

SyncFile(b, file, next) ==
  \E ok \in Outcomes :
    /\ names' = Written(names, b, IF ok THEN Synced(file) ELSE SyncFailed(file))
    /\ CountIfFailed(ok)
    /\ IF ok THEN next ELSE Close

SyncTail ==
  /\ pc = "SyncTail"
  /\ SyncFile(plan.last, FileOf(plan.last), pc' = "SyncUnsynced" /\ UNCHANGED <<flusher, op, plan>>)
  /\ UNCHANGED <<slots, told>>

(* Everything above the durable point is written again and synced, the oldest segment first: after a failed sync *)
(* the cache may hold good bytes that the disk never got. Of a file that is stable no step is told.              *)
Unsynced == {b \in plan.rewrite : ~IsStable(FileOf(b))}
SyncUnsynced ==
  /\ pc = "SyncUnsynced" /\ Unsynced # {}
  /\ LET b == Min(Unsynced)
         file == IF Broken = "TrustCacheAfterFailedSync" THEN FileOf(b) ELSE Rewritten(FileOf(b))
     IN SyncFile(b, file, plan' = Update(plan, "rewrite", {other \in plan.rewrite : other > b})
                          /\ UNCHANGED <<pc, flusher, op>>)
  /\ UNCHANGED <<slots, told>>
(* Where nothing else is to be done: the first sync does it, and the durable point stays until then. *)
MayAwaitSync ==
  /\ pc = "SyncUnsynced" /\ plan.asFound /\ Unsynced # {}
  /\ pc' = "StoreState"
  /\ plan' = [plan EXCEPT !.rewrite = Unsynced, !.later = TRUE]
  /\ UNCHANGED <<disk, flusher, op, told, used>>
SyncUnsyncedNames ==
  /\ pc = "SyncUnsynced" /\ Unsynced = {}
  /\ IF Broken = "TruncateWithoutDirectorySync"
     THEN pc' = "StoreState" /\ UNCHANGED <<disk, flusher, op, plan, told, used>>
     ELSE SyncDirectory("StoreState")

ReadableEnd == Max(Found) + Size(FileOf(Max(Found)))
Readable ==
  [i \in 1..ReadableEnd |->
     LET below == {b \in Found : b < i} IN
     IF below = {} THEN 0 ELSE LET f == FileOf(Max(below)) j == i - Max(below) IN IF j <= Len(f) THEN f[j].v ELSE 0]

StoreState ==
  /\ pc = "StoreState"
  /\ pc' = "StateStored"
  /\ LET base == Max(Found)
         end == [off |-> ReadableEnd, seg |-> base, last |-> IF ReadableEnd = base THEN 0 ELSE Readable[ReadableEnd]]
         point == IF plan.later THEN (IF Broken = "StoreEndBeforeSync" THEN end ELSE Values) ELSE end
     IN slots' = Store(WithPoint([seq |-> 0, off |-> 0, seg |-> 0, last |-> 0, pend |-> "none", to |-> 0,
                                  start |-> plan.start, fresh |-> TRUE], point))
  /\ UNCHANGED <<names, flusher, op, plan, told, used>>

SyncState == pc = "StateStored" /\ UpdateState(IF plan.deleted # {} THEN "RemoveDeleted" ELSE "Install")

(* What a prefix deletion left below the log start, the oldest first, when the state says where the log starts. *)
RemoveDeleted ==
  /\ pc = "RemoveDeleted" /\ plan.deleted # {}
  /\ names' = Renamed(names, Min(plan.deleted), None)
  /\ plan' = Update(plan, "deleted", plan.deleted \ {Min(plan.deleted)})
  /\ UNCHANGED <<slots, pc, flusher, op, told, used>>
SyncDeleted ==
  /\ pc = "RemoveDeleted" /\ plan.deleted = {}
  /\ SyncDirectory(IF Broken = "RemoveDeletedFirst" THEN AfterJudged(plan) ELSE "Install")

(* The log is open, and all that it holds is durable, or was before, or waits for the first sync. *)
Install ==
  /\ pc = "Install"
  /\ pc' = "Open"
  /\ unsynced' = IF plan.later THEN plan.rewrite ELSE {}
  /\ newNames' = IF plan.later THEN Found ELSE {}
  /\ queue' = <<>> /\ flush' = None /\ op' = None /\ plan' = None
  /\ acked' = IF plan.later THEN Min({acked, ReadableEnd}) ELSE ReadableEnd
  /\ log' = Readable /\ cutTo' = -1 /\ start' = plan.start /\ startTo' = plan.start
  /\ lost' = FALSE
  /\ UNCHANGED <<disk, used>>

----------------------------------------------------------------------------
(* What goes wrong *)

(* The page cache stays. *)
ProcessDeath ==
  /\ pc # "Closed" /\ used.deaths < MaxDeaths
  /\ Count("deaths")
  /\ Close
  /\ UNCHANGED <<disk, told>>

PowerLoss ==
  /\ used.losses < MaxPowerLosses
  /\ Count("losses")
  /\ Close
  /\ names' \in FoundAfterLoss(names)
  /\ \E found \in SlotsAfterLoss(slots) :
       slots' = [i \in 0..1 |-> IF found[i].now = None THEN found[i]
                                ELSE Update(found[i], "now", Update(found[i].now, "fresh", FALSE))]
  /\ lost' = TRUE
  /\ UNCHANGED <<log, acked, cutTo, start, startTo>>

Next ==
  \/ AppendRecords \/ RollTo
  \/ SyncOnce \/ RewriteUnsynced \/ SyncSealed \/ SyncNames \/ SyncActive \/ StoreDurable
  \/ TruncateTo \/ MoveLogStart \/ Announce
  \/ LoadLog \/ CompletePending \/ RemoveSegmentFiles \/ SyncRemovals \/ CutAtPoint \/ SyncCut
  \/ ClearIntent \/ SyncCleared \/ DropPrefix
  \/ MakeLoadPlan \/ RemoveBeyond \/ SyncBeyond \/ CutTail \/ SyncTail
  \/ SyncUnsynced \/ MayAwaitSync \/ SyncUnsyncedNames \/ StoreState \/ SyncState \/ RemoveDeleted \/ SyncDeleted \/ Install
  \/ ProcessDeath \/ PowerLoss

Spec == Init /\ [][Next]_vars

----------------------------------------------------------------------------
(* Invariants. What an opening finds is judged when it has done everything and the host has not yet seen it. *)

Opened == pc = "Install"
(* Both agree below an offset, from the log start on. *)
AgreeUpTo(end) == \A i \in (plan.start + 1)..end : Readable[i] = log[i]
WasCut == cutTo >= 0 /\ ReadableEnd = cutTo

(* Acknowledged as kDurable, readable after any crash. *)
AcknowledgedIsAPrefix ==
  Opened => (ReadableEnd >= acked \/ WasCut) /\ AgreeUpTo(Min({acked, ReadableEnd, Len(log)}))

(* What is readable is the log up to an offset: nothing invented, moved, or left out. *)
ReadableIsAPrefix == Opened => ReadableEnd <= Len(log) /\ AgreeUpTo(ReadableEnd)

TruncatedNeverReturns ==
  Opened => \A i \in 1..ReadableEnd : Readable[i] = 0 \/ \E j \in 1..Len(log) : log[j] = Readable[i]

(* A truncation is there whole or not at all; where the process lives on, whole. *)
TruncationIsWhole ==
  Opened /\ cutTo >= 0 => ReadableEnd \in (IF op = None THEN {cutTo, Len(log)} ELSE {cutTo})

(* So is a deletion; records below the log start stay away. *)
DeletionIsWhole == Opened => plan.start \in {start, startTo}

WrittenSurvivesProcessDeath ==
  Opened /\ ~lost => (ReadableEnd = Len(log) \/ WasCut) /\ AgreeUpTo(Min({ReadableEnd, Len(log)}))

(* Nobody is told that a record is durable which a failed sync left in the cache, until it is written again. *)
NoAckAfterFailedSync ==
  \A offset \in start..(acked - 1) :
    (\E b \in Found : b <= offset) =>
      LET b == SegmentOf(offset) f == FileOf(b) i == offset - b + 1
      IN i <= Len(f) /\ f[i].v = log[offset + 1] => f[i].m = {f[i].v} \/ f[i].d

OnDisk(offset, v) ==
  \E b \in Bases : /\ b <= offset
                   /\ \A f \in Options(names[b]) : f # None /\ StableAt(f, offset - b + 1, v)
                   /\ \A other \in Bases : b < other /\ other <= offset => Options(names[other]) = {None}

DurablePointIsALowerBound ==
  \A values \in PossiblyNewest(slots) :
    /\ values # None
    /\ values.off <= Len(log)
    /\ \A offset \in values.start..(values.off - 1) : OnDisk(offset, log[offset + 1])

----------------------------------------------------------------------------
(* What the bounds must let happen; each is checked to be reached. *)

TruncatesAcrossSegmentsAfterTwoCrashes ==  \* a whole segment goes, and another is cut in its middle
  /\ pc = "CarryThrough" /\ op.kind = "truncate" /\ used.losses + used.deaths = 2
  /\ SegmentsToRemove # {} /\ op.to > op.seg /\ Size(FileOf(op.seg)) > op.to - op.seg
NeverTruncatesAcrossSegmentsAfterTwoCrashes == ~TruncatesAcrossSegmentsAfterTwoCrashes
=============================================================================
