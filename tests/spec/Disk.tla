-------------------------------- MODULE Disk --------------------------------
(* What is below a log: files and names in a page cache, and what a power loss *)
(* may leave of them (durability notes, "Assumptions").                        *)
(*                                                                             *)
(* A file is a sequence of cells, one for each batch: v is what the cache      *)
(* holds (the record's number; 0: no good batch, and no byte at the end of the *)
(* file), m all that may be found on the disk, and d tells whether the cache   *)
(* means to write it. So a cell with m = {v} is stable; one with d is dirty;   *)
(* one with neither is what a failed sync leaves behind: good bytes in the     *)
(* cache that the disk may never have got and that no later sync writes.       *)
(*                                                                             *)
(* A name, the base offset of a segment, has the file that the cache shows     *)
(* under it (None: none), and alts, whatever else a power loss may bring back. *)
(* Names and sizes are metadata: a file system that cannot write its journal   *)
(* stops, it does not forget, so a failed sync leaves them as unsynced as they *)
(* were.                                                                       *)
EXTENDS Integers, Sequences, FiniteSets

CONSTANT None

Max(S) == CHOOSE x \in S : \A y \in S : y <= x
Min(S) == CHOOSE x \in S : \A y \in S : y >= x
IsPrefix(s, t) == Len(s) <= Len(t) /\ \A i \in 1..Len(s) : s[i] = t[i]
Prefix(s, n) == SubSeq(s, 1, IF n < Len(s) THEN n ELSE Len(s))
Update(f, k, v) == [f EXCEPT ![k] = v]

----------------------------------------------------------------------------
(* Files *)

Stable(v) == [v |-> v, m |-> {v}, d |-> FALSE]

RECURSIVE Trim(_)
Trim(f) == IF f # <<>> /\ f[Len(f)].v = 0 /\ f[Len(f)].m = {0} THEN Trim(SubSeq(f, 1, Len(f) - 1)) ELSE f

(* Bytes up to the last good batch, and up to the first that is none. *)
Size(f) == LET good == {i \in 1..Len(f) : f[i].v # 0} IN IF good = {} THEN 0 ELSE Max(good)
GoodSize(f) == LET bad == {i \in 1..Len(f) : f[i].v = 0} IN IF bad = {} THEN Len(f) ELSE Min(bad) - 1
HoldsAt(f, i, v) == i <= Len(f) /\ f[i].v = v
StableAt(f, i, v) == i <= Len(f) /\ f[i].m = {v}

(* A sector that was never synced may come back as garbage, which is no good batch. *)
WriteBehind(f, v) ==
  LET i == Size(f) + 1
      before == IF i <= Len(f) THEN f[i].m ELSE {0}
      cell == [v |-> v, m |-> before \cup {0, v}, d |-> TRUE]
  IN [j \in 1..Max({i, Len(f)}) |-> IF j = i THEN cell ELSE f[j]]

(* The same bytes again, so that the cache means to write them. *)
Rewritten(f) == [i \in 1..Len(f) |-> Update(f[i], "d", f[i].m # {f[i].v})]

CutTo(f, n) == [i \in 1..Len(f) |-> IF i <= n THEN f[i] ELSE [v |-> 0, m |-> f[i].m \cup {0}, d |-> TRUE]]

(* A copy that was synced before it takes a name. *)
CopyOf(f, n) == [i \in 1..n |-> Stable(f[i].v)]
UnsyncedCopyOf(f, n) == [i \in 1..n |-> [v |-> f[i].v, m |-> {0, f[i].v}, d |-> TRUE]]

Synced(f) == Trim([i \in 1..Len(f) |-> IF f[i].d THEN Stable(f[i].v) ELSE f[i]])
SyncFailed(f) == [i \in 1..Len(f) |-> IF f[i].v = 0 THEN f[i] ELSE Update(f[i], "d", FALSE)]
IsStable(f) == \A i \in 1..Len(f) : f[i].m = {f[i].v}

FoundOf(f) ==
  IF f = None THEN {None}
  ELSE LET contents == {g \in [1..Len(f) -> UNION {f[i].m : i \in 1..Len(f)}] : \A i \in 1..Len(f) : g[i] \in f[i].m}
       IN {Trim([i \in 1..Len(f) |-> Stable(g[i])]) : g \in contents}

----------------------------------------------------------------------------
(* Names *)

NoFile == [file |-> None, alts |-> {}]
Options(name) == {name.file} \cup name.alts
(* Another file, or none, gets the name. *)
Renamed(names, b, f) ==
  Update(names, b, [file |-> f, alts |-> (names[b].alts \cup {names[b].file}) \ {f}])
(* The file under the name has changed. *)
Written(names, b, f) == Update(names, b, Update(names[b], "file", f))
NamesSynced(names) == [b \in DOMAIN names |-> Update(names[b], "alts", {})]
NamesAreStable(names) == \A b \in DOMAIN names : names[b].alts = {}

RECURSIVE FoundFrom(_, _)
FoundFrom(names, bases) ==
  IF bases = {} THEN {names}
  ELSE LET b == Max(bases)
           found == UNION {FoundOf(f) : f \in Options(names[b])}
       IN UNION {{Update(rest, b, [file |-> f, alts |-> {}]) : f \in found} : rest \in FoundFrom(names, bases \ {b})}
(* What there may be after a power loss. *)
FoundAfterLoss(names) == FoundFrom(names, DOMAIN names)

----------------------------------------------------------------------------
(* Two slots of 512 bytes, one sector each, so that one that was stable and is *)
(* rewritten holds its old or its new content, whole. A slot has a number seq. *)

Newest(a, b) == IF a = None THEN b ELSE IF b = None THEN a ELSE IF a.seq > b.seq THEN a ELSE b

StoredIn(slots, k, values, seq) ==
  LET slot == slots[k]
  IN Update(slots, k, [now |-> Update(values, "seq", seq), alts |-> slot.alts \cup {slot.now}, d |-> TRUE])

(* Numbers that nobody can tell from others are counted anew, which keeps states few. *)
Renumbered(slots) ==
  LET newest == Newest(slots[0].now, slots[1].now)
      k == newest.seq % 2
      At(slot, seq) == IF slot.now = None THEN slot ELSE Update(slot, "now", Update(slot.now, "seq", seq))
  IN IF \E i \in 0..1 : slots[i].alts # {} THEN slots
     ELSE [i \in 0..1 |-> At(slots[i], IF i = k THEN 2 + k ELSE 1 + k)]

SlotsSynced(slots) ==
  Renumbered([i \in 0..1 |-> IF slots[i].d THEN [now |-> slots[i].now, alts |-> {}, d |-> FALSE] ELSE slots[i]])
SlotsSyncFailed(slots) == [i \in 0..1 |-> Update(slots[i], "d", FALSE)]
SlotsAfterLoss(slots) ==
  {[i \in 0..1 |-> [now |-> IF i = 0 THEN a ELSE b, alts |-> {}, d |-> FALSE]] :
     a \in {slots[0].now} \cup slots[0].alts, b \in {slots[1].now} \cup slots[1].alts}
(* All that may count, now or after a power loss. *)
PossiblyNewest(slots) ==
  {Newest(a, b) : a \in {slots[0].now} \cup slots[0].alts, b \in {slots[1].now} \cup slots[1].alts}
=============================================================================
