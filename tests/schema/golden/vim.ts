// SPDX-License-Identifier: Apache-2.0
// Made from api/ by tools/schema; not to be edited.

/** A whole number of 64 bits. Beyond Number.MAX_SAFE_INTEGER it loses its last digits. */
export type Long = number;
/** A time in ISO 8601. */
export type DateTime = string;
/** Bytes in base64. */
export type Binary = string;

/** A value that does not name its own type (a string, a number, an enum, an array), in an `any`. */
export interface Boxed {
    _typeName: string;
    _value: unknown;
}

/** A value of any type: it always names its type. */
export type Any = Boxed | Ref | (DynamicData & { _typeName: string });

/** A managed object by its id, of one of the types that are named. */
export interface RefOf<Kinds extends string> {
    _typeName: "ManagedObjectReference";
    type: Kinds;
    value: string;
}

/** A reference to a managed type or a subtype of it, for example Ref<"VirtualMachine">. */
export type Ref<T extends ManagedTypeName = ManagedTypeName> = RefOf<ManagedTypes[T]["kinds"]>;

export type ManagedTypeName = keyof ManagedTypes;
export type DataTypeName = keyof DataTypes;

/** The names of the methods that a managed type has. */
export type MethodName<T extends ManagedTypeName> = keyof ManagedTypes[T]["methods"];

/** The arguments of a method, and what it answers. */
export type Params<T extends ManagedTypeName, M extends MethodName<T>> =
    ManagedTypes[T]["methods"][M] extends { params: infer P } ? P : never;
export type Result<T extends ManagedTypeName, M extends MethodName<T>> =
    ManagedTypes[T]["methods"][M] extends { result: infer R } ? R : never;

/** What a client of the API offers; failures reject with a MethodFault. */
export interface Vim {
    call<T extends ManagedTypeName, M extends MethodName<T>>(
        type: T, id: string, method: M, params: Params<T, M>): Promise<Result<T, M>>;
}

/** Every managed type; `kinds` are the type and its subtypes. */
export interface ManagedTypes {
    ManagedObject: {
        kinds: "ManagedObject" | "Task" | "Thing" | "Wheel";
        properties: ManagedObjectProperties;
        methods: ManagedObjectMethods;
    };
    Task: {
        kinds: "Task";
        properties: TaskProperties;
        methods: TaskMethods;
    };
    Thing: {
        kinds: "Thing" | "Wheel";
        properties: ThingProperties;
        methods: ThingMethods;
    };
    Wheel: {
        kinds: "Wheel";
        properties: WheelProperties;
        methods: WheelMethods;
    };
}

/** Every data object and fault by its name. */
export interface DataTypes {
    DynamicData: DynamicData;
    Everything: Everything;
    LocalizedMethodFault: LocalizedMethodFault;
    MethodFault: MethodFault;
    MovedTooFar: MovedTooFar;
    Part: Part;
    RuntimeFault: RuntimeFault;
    SpecialPart: SpecialPart;
}

/** A way to go. */
export type Way =
    /** to the left. */
    | "left"
    /** far to the right. Since 2.0. */
    | "far-right";

/** The root of data objects. */
export interface DynamicData {
    _typeName?: string;
}

/** A value of each type. */
export interface Everything extends DynamicData {
    _typeName?: "Everything";
    /** yes or no. */
    flag: boolean;
    /** 8 bits. */
    tiny?: number;
    /** 16 bits. */
    small?: number;
    /** 32 bits, a | b. */
    number: number;
    /** 64 bits, <= 2^63. Since 2.0. */
    big?: Long;
    /** one precision. */
    single?: number;
    /** the other. */
    precise: number;
    /** characters. */
    text?: string;
    /** a time. */
    when?: DateTime;
    /** octets. */
    bytes?: Binary;
    /** anything. */
    whatever?: Any;
    /** several. */
    flags?: boolean[];
    /** several, at least one. */
    names: string[];
    /** an enum. */
    way?: Way;
    /** several enums. Since 2.0. */
    ways?: Way[];
    /** an object. */
    part?: Part;
    /** several objects. */
    parts?: Part[];
    /** a reference. */
    thing?: Ref<"Thing">;
    /** several references. */
    things?: Ref<"ManagedObject">[];
}

/** A fault inside an object. */
export interface LocalizedMethodFault extends DynamicData {
    _typeName?: "LocalizedMethodFault";
    /** the fault. */
    fault: MethodFault;
    /** its text. */
    localizedMessage?: string;
}

/** The root of faults. */
export interface MethodFault extends DynamicData {
    _typeName: "MethodFault" | "MovedTooFar" | "RuntimeFault";
    /** what led to it. */
    faultCause?: LocalizedMethodFault;
}

/** Moved too far. Since 2.0. */
export interface MovedTooFar extends MethodFault {
    _typeName: "MovedTooFar";
    /** how far. */
    steps: number;
    /** how far it may go. */
    limit?: number;
    /** whither. */
    way: Way;
    /** what. */
    thing: Ref<"Thing">;
    /** where it broke. */
    part?: Part;
}

/** A part of something. */
export interface Part extends DynamicData {
    _typeName: "Part" | "SpecialPart";
    /** number of the part. */
    key: number;
}

/** The root of faults that are not declared. */
export interface RuntimeFault extends MethodFault {
    _typeName: "RuntimeFault";
}

/** A part that can do more. Since 2.0. */
export interface SpecialPart extends Part {
    _typeName: "SpecialPart";
    /** a keyword of C. */
    class: string;
}

/** The root of managed objects.
 * These are its properties.
 */
export interface ManagedObjectProperties {
}

/** The methods of ManagedObject. */
export interface ManagedObjectMethods {
}

/** A running operation.
 * These are its properties.
 */
export interface TaskProperties extends ManagedObjectProperties {
    /** its state. */
    info: Any;
}

/** The methods of Task. */
export interface TaskMethods extends ManagedObjectMethods {
}

/** A thing.
 * These are its properties.
 */
export interface ThingProperties extends ManagedObjectProperties {
    /** what it is called. */
    name: string;
    /** what it has. */
    all?: Everything;
}

/** The methods of Thing. */
export interface ThingMethods extends ManagedObjectMethods {
    /** Moves it.
     * Privilege: Thing.Interact.Move.
     * Throws: MovedTooFar.
     */
    MoveThing_Task: {
        params: {
            /** whither. */
            way: Way;
            /** how far; unset for one step. Since 2.0. */
            steps?: number;
        };
        result: Ref<"Task">;
        /** What the task's info.result holds in the end. */
        taskResult: Everything[] | undefined;
    };
    /** Says how many there are. Since 2.0.
     * Privilege: by-argument.
     */
    CountThings: {
        params: Record<string, never>;
        result: number;
    };
    /** Names it.
     * Privilege: System.View.
     */
    NameThing: {
        params: {
            /** its new name. */
            name: string;
        };
        result: void;
    };
    /** Waits for a change.
     * Privilege: System.View.
     */
    WaitForThing: {
        params: Record<string, never>;
        result: Everything | undefined;
    };
}

/** A thing that moves by itself. Since 2.0.
 * These are its properties.
 */
export interface WheelProperties extends ThingProperties {
    /** whether it is round. */
    round: boolean;
}

/** The methods of Wheel. */
export interface WheelMethods extends ThingMethods {
}
